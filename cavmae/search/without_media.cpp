// What needs SQLite, libpq, xxHash and FAISS in a build without libraries for it (cmake/Media.cmake).
#include "cavmae/core/error.h"
#include "cavmae/search/content_hash.h"
#include "cavmae/search/list_training.h"
#include "cavmae/search/postgres/connection.h"
#include "cavmae/search/postgres/url.h"
#include "cavmae/search/sqlite.h"

namespace cavmae {
namespace {

[[noreturn]] void no_search(const std::string& name) {
  throw Error(concat(name, ": this cavmae was built without libraries of moments (CAVMAE_MEDIA=OFF)"));
}

}  // namespace

Database::Database(const std::filesystem::path& file, DatabaseAccess /*access*/) {
  no_search(file.string());
}
Database::~Database() = default;
void Database::execute(const std::string& sql) {
  no_search(sql);
}
int64_t Database::last_insert_id() const {
  return 0;
}
int64_t Database::changes() const {
  return 0;
}

Statement::Statement(Database& database, std::string_view sql) : database_(database) {
  no_search(std::string(sql));
}
Statement::~Statement() = default;
bool Statement::step() {
  return false;
}
int64_t Statement::integer(int /*column*/) const {
  return 0;
}
std::optional<int64_t> Statement::integer_or_null(int /*column*/) const {
  return std::nullopt;
}
std::string Statement::text(int /*column*/) const {
  return {};
}
std::string_view Statement::bytes(int /*column*/) const {
  return {};
}
bool Statement::is_null(int /*column*/) const {
  return true;
}
void Statement::reset() {}
void Statement::bind(int /*index*/, int64_t /*value*/) {}
void Statement::bind(int /*index*/, const std::optional<int64_t>& /*value*/) {}
void Statement::bind(int /*index*/, const std::string& /*text*/) {}
void Statement::bind(int /*index*/, std::string_view /*bytes*/) {}

Transaction::Transaction(Database& database, Kind /*kind*/) : database_(database) {
  no_search("a transaction");
}
Transaction::~Transaction() = default;
void Transaction::commit() {}

PostgresRows::PostgresRows(pg_result* /*result*/) {}
int64_t PostgresRows::size() const {
  return 0;
}
bool PostgresRows::is_null(int64_t /*row*/, int /*column*/) const {
  return true;
}
std::string_view PostgresRows::text(int64_t /*row*/, int /*column*/) const {
  return {};
}
int64_t PostgresRows::integer(int64_t /*row*/, int /*column*/) const {
  return 0;
}
double PostgresRows::number(int64_t /*row*/, int /*column*/) const {
  return 0;
}
int64_t PostgresRows::changed() const {
  return 0;
}

PostgresConnection::PostgresConnection(const std::string& url) {
  cavmae::no_search(shown_url(url));
}
PostgresConnection::~PostgresConnection() = default;
std::string PostgresConnection::parameter(const std::vector<int64_t>& /*numbers*/) {
  return {};
}
PostgresRows PostgresConnection::run_with(const std::string& sql,
                                          const std::vector<std::string>& /*parameters*/) {
  cavmae::no_search(sql);
}
void PostgresConnection::execute(const std::string& sql) {
  cavmae::no_search(sql);
}
void PostgresConnection::copy_in(const std::string& sql, std::string_view /*lines*/) {
  cavmae::no_search(sql);
}
std::string copy_field(std::string_view text) {
  return std::string(text);
}

std::string content_hash(std::string_view /*bytes*/) {
  no_search("a hash");
}
std::string content_hash(const MediaSource& source) {
  no_search(source.name());
}
std::string content_hash_of_file(const std::filesystem::path& file) {
  no_search(file.string());
}

int64_t training_size(int64_t num_vectors) {
  return num_vectors;
}
ListModel train_lists(const torch::Tensor& /*vectors*/, const torch::Tensor& /*others*/,
                      const ListTraining& /*options*/) {
  no_search("the lists of a library");
}

}  // namespace cavmae
