// PostgreSQL by libpq, which no other file knows: a connection, and the rows that a statement gives. One
// thread a connection.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cavmae/core/error.h"

struct pg_conn;
struct pg_result;

namespace cavmae {

// The connection is not there: the server does not answer, refuses, or has gone.
class PostgresLost : public Error {
 public:
  using Error::Error;
};

// The server refuses a statement.
class PostgresError : public Error {
 public:
  PostgresError(const std::string& message, std::string code) : Error(message), code_(std::move(code)) {}
  // SQLSTATE, such as "42501" (insufficient privilege).
  const std::string& code() const { return code_; }

 private:
  std::string code_;
};

class PostgresRows {
 public:
  explicit PostgresRows(pg_result* result);

  int64_t size() const;
  bool is_null(int64_t row, int column) const;
  std::string_view text(int64_t row, int column) const;  // as long as this lives
  int64_t integer(int64_t row, int column) const;
  double number(int64_t row, int column) const;
  bool truth(int64_t row, int column) const { return text(row, column) == "t"; }
  int64_t changed() const;  // rows that the statement inserted, changed or removed

 private:
  std::shared_ptr<pg_result> result_;
};

class PostgresConnection {
 public:
  // url: postgresql://... as libpq takes it. Waits for five seconds unless it says otherwise. Throws
  // PostgresLost, and ConfigError for an URL that is none. No message has its password.
  explicit PostgresConnection(const std::string& url);
  ~PostgresConnection();
  PostgresConnection(const PostgresConnection&) = delete;
  PostgresConnection& operator=(const PostgresConnection&) = delete;

  // One statement with parameters $1, $2...: texts, numbers, truths and lists of numbers.
  template <class... Values>
  PostgresRows run(const std::string& sql, const Values&... values) {
    return run_with(sql, {parameter(values)...});
  }
  PostgresRows run_with(const std::string& sql, const std::vector<std::string>& parameters);
  static std::string parameter(const std::string& text) { return text; }
  static std::string parameter(std::string_view text) { return std::string(text); }
  static std::string parameter(const char* text) { return text; }
  static std::string parameter(int64_t number) { return std::to_string(number); }
  static std::string parameter(int number) { return std::to_string(number); }
  static std::string parameter(bool truth) { return truth ? "t" : "f"; }
  static std::string parameter(const std::vector<int64_t>& numbers);
  // Several statements without parameters.
  void execute(const std::string& sql);
  // COPY ... FROM STDIN with these lines in its text format.
  void copy_in(const std::string& sql, std::string_view lines);

 private:
  PostgresRows checked(pg_result* result);
  [[noreturn]] void fail(pg_result* result);

  pg_conn* handle_ = nullptr;
};

// A field of a line of COPY's text format.
std::string copy_field(std::string_view text);

}  // namespace cavmae
