#include "cavmae/search/sqlite.h"

#include <sqlite3.h>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

constexpr int kBusyMilliseconds = 30000;  // another writer's transaction is over long before

int flags_of(DatabaseAccess access) {
  switch (access) {
    case DatabaseAccess::create:
      return SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    case DatabaseAccess::write:
      return SQLITE_OPEN_READWRITE;
    case DatabaseAccess::read:
      break;
  }
  // A reader of a database in WAL mode writes to its shared memory, so that it may have to make it.
  return SQLITE_OPEN_READWRITE;
}

}  // namespace

Database::Database(const std::filesystem::path& file, DatabaseAccess access) : file_(file) {
  const int code = ::sqlite3_open_v2(file.c_str(), &handle_, flags_of(access) | SQLITE_OPEN_NOMUTEX, nullptr);
  if (code != SQLITE_OK) {
    const std::string why = handle_ != nullptr ? ::sqlite3_errmsg(handle_) : "out of memory";
    ::sqlite3_close(handle_);
    throw Error(concat(file.string(), ": cannot be opened: ", why));
  }
  ::sqlite3_busy_timeout(handle_, kBusyMilliseconds);
  try {
    if (access != DatabaseAccess::read) execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
    execute("PRAGMA foreign_keys = ON; PRAGMA query_only = " +
            std::string(access == DatabaseAccess::read ? "ON" : "OFF"));
  } catch (...) {
    ::sqlite3_close(handle_);
    throw;
  }
}

Database::~Database() {
  ::sqlite3_close(handle_);
}

void Database::check(int code, std::string_view doing) const {
  if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE) return;
  const int primary = code & 0xff;
  const char* cure = primary == SQLITE_FULL      ? "; make room on the disk and start again"
                     : primary == SQLITE_CORRUPT ? "; make it anew by cavmae index --rebuild"
                     : primary == SQLITE_NOTADB  ? "; make it anew by cavmae index --rebuild"
                     : primary == SQLITE_BUSY    ? "; another process writes to it, try again"
                                                 : "";
  throw Error(concat(file_.string(), ": ", doing, ": ", ::sqlite3_errmsg(handle_), cure));
}

void Database::execute(const std::string& sql) {
  check(::sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr), sql.substr(0, sql.find('\n')));
}

int64_t Database::last_insert_id() const {
  return ::sqlite3_last_insert_rowid(handle_);
}

int64_t Database::changes() const {
  return ::sqlite3_changes64(handle_);
}

Statement::Statement(Database& database, std::string_view sql) : database_(database) {
  database.check(
      ::sqlite3_prepare_v2(database.handle(), sql.data(), static_cast<int>(sql.size()), &statement_, nullptr),
      sql);
}

Statement::~Statement() {
  ::sqlite3_finalize(statement_);
}

void Statement::reset() {
  ::sqlite3_reset(statement_);  // tells again of an error that step() has thrown
  ::sqlite3_clear_bindings(statement_);
}

bool Statement::step() {
  const int code = ::sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) {
    const std::string sql = ::sqlite3_sql(statement_);
    database_.check(code, sql);
  }
  ::sqlite3_reset(statement_);
  return false;
}

void Statement::bind(int index, int64_t value) {
  database_.check(::sqlite3_bind_int64(statement_, index, value), "a parameter");
}

void Statement::bind(int index, const std::optional<int64_t>& value) {
  if (value) return bind(index, *value);
  database_.check(::sqlite3_bind_null(statement_, index), "a parameter");
}

void Statement::bind(int index, const std::string& text) {
  database_.check(
      ::sqlite3_bind_text64(statement_, index, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8),
      "a parameter");
}

void Statement::bind(int index, std::string_view bytes) {
  database_.check(::sqlite3_bind_blob64(statement_, index, bytes.data(), bytes.size(), SQLITE_STATIC),
                  "a parameter");
}

int64_t Statement::integer(int column) const {
  return ::sqlite3_column_int64(statement_, column);
}

std::optional<int64_t> Statement::integer_or_null(int column) const {
  if (is_null(column)) return std::nullopt;
  return integer(column);
}

std::string Statement::text(int column) const {
  const auto* text = reinterpret_cast<const char*>(::sqlite3_column_text(statement_, column));
  return text == nullptr ? ""
                         : std::string(text, static_cast<size_t>(::sqlite3_column_bytes(statement_, column)));
}

std::string_view Statement::bytes(int column) const {
  const auto* data = static_cast<const char*>(::sqlite3_column_blob(statement_, column));
  return {data, data == nullptr ? 0 : static_cast<size_t>(::sqlite3_column_bytes(statement_, column))};
}

bool Statement::is_null(int column) const {
  return ::sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

Transaction::Transaction(Database& database, Kind kind) : database_(database) {
  database.execute(kind == Kind::write ? "BEGIN IMMEDIATE" : "BEGIN");
}

Transaction::~Transaction() {
  if (!open_) return;
  try {
    database_.execute("ROLLBACK");
  } catch (const Error&) {
    // A failed statement may have undone all already.
  }
}

void Transaction::commit() {
  database_.execute("COMMIT");
  open_ = false;
}

}  // namespace cavmae
