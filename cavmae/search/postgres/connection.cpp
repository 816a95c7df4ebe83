#include "cavmae/search/postgres/connection.h"

#include <algorithm>
#include <charconv>

#include <libpq-fe.h>

#include "cavmae/search/postgres/url.h"

namespace cavmae {
namespace {

// Errors that mean that the server is going or not yet there: 08 (connections), and of 57 (intervention of an
// operator) shutdown, crash and start.
bool is_loss(std::string_view code) {
  return code.starts_with("08") || code == "57P01" || code == "57P02" || code == "57P03";
}

// What libpq says in several lines, as one.
std::string one_line(const char* message) {
  std::string out(message);
  while (!out.empty() && (out.back() == '\n' || out.back() == ' ')) out.pop_back();
  std::ranges::replace(out, '\n', ' ');
  return out;
}

template <class Number>
Number number_of(std::string_view text) {
  Number out{};
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

void check_url(const std::string& url) {
  char* problem = nullptr;  // may quote the password
  PQconninfoOption* options = ::PQconninfoParse(url.c_str(), &problem);
  const bool is_good = options != nullptr;
  ::PQconninfoFree(options);
  ::PQfreemem(problem);
  CAVMAE_CHECK_AS(
      ConfigError, is_good, shown_url(url),
      ": is no URL that PostgreSQL's library understands; write postgresql://user@host:port/database, "
      "with %40 for an @ and %2F for a / in a name or password");
}

}  // namespace

PostgresRows::PostgresRows(pg_result* result) : result_(result, ::PQclear) {}

int64_t PostgresRows::size() const {
  return ::PQntuples(result_.get());
}

bool PostgresRows::is_null(int64_t row, int column) const {
  return ::PQgetisnull(result_.get(), static_cast<int>(row), column) != 0;
}

std::string_view PostgresRows::text(int64_t row, int column) const {
  const int at = static_cast<int>(row);
  return {::PQgetvalue(result_.get(), at, column),
          static_cast<size_t>(::PQgetlength(result_.get(), at, column))};
}

int64_t PostgresRows::integer(int64_t row, int column) const {
  return number_of<int64_t>(text(row, column));
}

double PostgresRows::number(int64_t row, int column) const {
  return number_of<double>(text(row, column));
}

int64_t PostgresRows::changed() const {
  return number_of<int64_t>(::PQcmdTuples(result_.get()));
}

PostgresConnection::PostgresConnection(const std::string& url) {
  check_url(url);
  // What the URL says comes after these and counts. A server that vanished is noticed within a minute.
  const char* names[] = {
      "connect_timeout",  "keepalives_idle", "keepalives_interval",       "keepalives_count",
      "tcp_user_timeout", "dbname",          "fallback_application_name", nullptr};
  const char* values[] = {"5", "20", "10", "3", "50000", url.c_str(), "cavmae", nullptr};
  handle_ = ::PQconnectdbParams(names, values, /*expand_dbname=*/1);
  if (::PQstatus(handle_) == CONNECTION_OK) {
    ::PQsetNoticeProcessor(
        handle_, [](void*, const char*) {}, nullptr);
    return;
  }
  const std::string why = one_line(::PQerrorMessage(handle_));
  ::PQfinish(handle_);
  throw PostgresLost(why);
}

PostgresConnection::~PostgresConnection() {
  ::PQfinish(handle_);
}

std::string PostgresConnection::parameter(const std::vector<int64_t>& numbers) {
  std::string out = "{";
  for (const int64_t number : numbers) {
    if (out.size() > 1) out += ',';
    out += std::to_string(number);
  }
  return out + "}";
}

void PostgresConnection::fail(pg_result* result) {
  const char* field = ::PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const std::string code = field == nullptr ? "" : field;
  const char* primary = ::PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  const std::string message = one_line(primary != nullptr ? primary : ::PQerrorMessage(handle_));
  ::PQclear(result);
  if (::PQstatus(handle_) != CONNECTION_OK || is_loss(code)) throw PostgresLost(message);
  throw PostgresError(message, code);
}

PostgresRows PostgresConnection::checked(pg_result* result) {
  const ExecStatusType status = ::PQresultStatus(result);
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_COPY_IN) fail(result);
  return PostgresRows(result);
}

PostgresRows PostgresConnection::run_with(const std::string& sql,
                                          const std::vector<std::string>& parameters) {
  std::vector<const char*> values;
  for (const std::string& value : parameters) values.push_back(value.c_str());
  return checked(::PQexecParams(handle_, sql.c_str(), static_cast<int>(values.size()), /*paramTypes=*/nullptr,
                                values.data(), /*paramLengths=*/nullptr, /*paramFormats=*/nullptr,
                                /*resultFormat=*/0));
}

void PostgresConnection::execute(const std::string& sql) {
  checked(::PQexec(handle_, sql.c_str()));
}

void PostgresConnection::copy_in(const std::string& sql, std::string_view lines) {
  constexpr size_t kPiece = 1 << 20;
  execute(sql);
  for (size_t at = 0; at < lines.size(); at += kPiece) {
    const std::string_view piece = lines.substr(at, kPiece);
    if (::PQputCopyData(handle_, piece.data(), static_cast<int>(piece.size())) != 1) fail(nullptr);
  }
  if (::PQputCopyEnd(handle_, nullptr) != 1) fail(nullptr);
  checked(::PQgetResult(handle_));
  while (pg_result* rest = ::PQgetResult(handle_)) ::PQclear(rest);
}

std::string copy_field(std::string_view text) {
  std::string out;
  for (const char c : text) switch (c) {
      case '\\':
        out += "\\\\";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      default:
        out += c;
    }
  return out;
}

}  // namespace cavmae
