// SQLite behind a few classes: a connection, a statement, a transaction. Private to this folder. One thread a
// connection.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace cavmae {

enum class DatabaseAccess { create, write, read };

class Database {
 public:
  // In WAL mode, so that readers never wait. Throws Error that names the file.
  Database(const std::filesystem::path& file, DatabaseAccess access);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Several statements without parameters.
  void execute(const std::string& sql);
  int64_t last_insert_id() const;
  int64_t changes() const;  // rows that the last statement changed

  sqlite3* handle() const { return handle_; }
  // Throws Error with what SQLite says, unless `code` is one of success.
  void check(int code, std::string_view doing) const;

 private:
  std::filesystem::path file_;
  sqlite3* handle_ = nullptr;
};

// A prepared statement, which may be run again and again:
//   Statement insert(db, "INSERT INTO t VALUES (?, ?)");
//   insert.run(1, "x");
//   for (Statement s(db, "SELECT a FROM t WHERE b = ?"); s.next("x"); ) s.integer(0);
class Statement {
 public:
  Statement(Database& database, std::string_view sql);
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // Sets the parameters and begins anew.
  template <class... Values>
  Statement& with(const Values&... values) {
    reset();
    int index = 0;
    (bind(++index, values), ...);
    return *this;
  }
  template <class... Values>
  void run(const Values&... values) {
    with(values...);
    while (step()) {
    }
  }
  // The next row; false at the end.
  bool step();

  int64_t integer(int column) const;
  std::optional<int64_t> integer_or_null(int column) const;
  std::string text(int column) const;
  std::string_view bytes(int column) const;  // until the next step
  bool is_null(int column) const;

 private:
  void reset();
  void bind(int index, int64_t value);
  void bind(int index, int value) { bind(index, static_cast<int64_t>(value)); }
  void bind(int index, bool value) { bind(index, static_cast<int64_t>(value)); }
  void bind(int index, const std::optional<int64_t>& value);
  void bind(int index, const std::string& text);
  void bind(int index, const char* text) { bind(index, std::string(text)); }
  void bind(int index, std::string_view bytes);  // as a blob, not copied

  Database& database_;
  sqlite3_stmt* statement_ = nullptr;
};

// Undone at the end of its life unless committed.
class Transaction {
 public:
  enum class Kind { read, write };
  Transaction(Database& database, Kind kind);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  void commit();

 private:
  Database& database_;
  bool open_ = true;
};

}  // namespace cavmae
