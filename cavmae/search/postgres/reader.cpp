#include "cavmae/search/postgres/reader.h"

#include <fmt/format.h>

#include "cavmae/core/error.h"
#include "cavmae/search/postgres/schema.h"
#include "cavmae/search/postgres/texts.h"
#include "cavmae/search/postgres/url.h"

namespace cavmae {
namespace {

void begin_reading(PostgresConnection& connection, const std::string& name) {
  CAVMAE_CHECK_AS(ConfigError, has_library_tables(connection), name,
                  ": holds no library; make one with cavmae index ", name, " --data FOLDER --checkpoint RUN");
  migrate_library_tables(connection, name);
}

}  // namespace

PostgresSnapshot::PostgresSnapshot(PostgresState state, std::shared_ptr<PostgresSession> session,
                                   std::shared_ptr<PostgresSamples> samples)
    : state_(std::move(state)), session_(std::move(session)), samples_(std::move(samples)) {
  settings_ = state_.settings;
  counts_ = state_.counts;
}

const torch::Tensor& PostgresSnapshot::sample(ClipSide side) const {
  const int which = side == ClipSide::audio ? 0 : 1;
  std::call_once(drawn_[which], [&] { drawn_samples_[which] = samples_->sample(state_, side); });
  return drawn_samples_[which];
}

std::vector<std::pair<std::string, std::string>> PostgresSnapshot::facts() const {
  const bool is_text = settings_.vectors == VectorType::text;
  return session_->use([&](PostgresConnection& connection) {
    const PostgresRows server = connection.run(
        "SELECT current_setting('server_version'), (SELECT extversion FROM pg_extension WHERE extname = "
        "'vector'), (SELECT count(*) FROM cavmae.work)");
    std::vector<std::pair<std::string, std::string>> out = {
        {"vectors", fmt::format("{} numbers each, {}", settings_.model.embed_dim,
                                is_text ? "text, of which all are compared" : "halfvec with HNSW indexes")},
        {"server", fmt::format("PostgreSQL {}{}", server.text(0, 0),
                               is_text ? "" : fmt::format(", vector {}", server.text(0, 1)))}};
    if (server.integer(0, 2) > 0)
      out.emplace_back("to be added", fmt::format("{} files", server.integer(0, 2)));
    return out;
  });
}

std::optional<LibrarySettings> read_postgres_settings(const std::string& url) {
  PostgresSession session(url, {}, null_log());
  return session.use([&](PostgresConnection& connection) -> std::optional<LibrarySettings> {
    if (!has_library_tables(connection)) return std::nullopt;
    migrate_library_tables(connection, session.name());
    return read_state(connection, session.name()).settings;
  });
}

PostgresReader::PostgresReader(const std::string& url, int64_t compared_by_server)
    : LibraryReader(shown_url(url)),
      session_(std::make_shared<PostgresSession>(
          url, PostgresPatience{}, null_log(),
          [name = name()](PostgresConnection& connection) { begin_reading(connection, name); })),
      compared_by_server_(compared_by_server),
      samples_(std::make_shared<PostgresSamples>(session_)) {
  snapshot();
}

std::shared_ptr<const LibrarySnapshot> PostgresReader::snapshot() {
  PostgresState state =
      session_->use([&](PostgresConnection& connection) { return read_state(connection, name()); });
  const std::lock_guard lock(mutex_);
  if (snapshot_ == nullptr || snapshot_->changes() != state.changes ||
      to_json(snapshot_->settings()) != to_json(state.settings))
    snapshot_ = std::make_shared<const PostgresSnapshot>(std::move(state), session_, samples_);
  return snapshot_;
}

std::unique_ptr<MomentSelection> PostgresReader::select(const SearchScope& scope) {
  return std::make_unique<PostgresSelection>(session_, snapshot(), scope, compared_by_server_);
}

std::optional<LibraryFile> PostgresReader::file(int64_t id) {
  return session_->use([&](PostgresConnection& connection) {
    return first_file_of(connection.run(std::string(kSelectFiles) + "WHERE id = $1", id));
  });
}

std::optional<Moment> PostgresReader::moment(int64_t id) {
  return session_->use([&](PostgresConnection& connection) -> std::optional<Moment> {
    const PostgresRows rows =
        connection.run(concat("SELECT ", kMomentColumns, " FROM cavmae.moments WHERE id = $1"), id);
    if (rows.size() == 0) return std::nullopt;
    return moment_of(rows, 0);
  });
}

std::vector<Moment> PostgresReader::moments_of(int64_t file) {
  return session_->use([&](PostgresConnection& connection) {
    const PostgresRows rows = connection.run(
        concat("SELECT ", kMomentColumns, " FROM cavmae.moments WHERE file = $1 ORDER BY start_ms"), file);
    std::vector<Moment> out;
    for (int64_t row = 0; row < rows.size(); ++row) out.push_back(moment_of(rows, row));
    return out;
  });
}

std::vector<FileFailure> PostgresReader::failures() {
  return session_->use([](PostgresConnection& connection) { return read_failures(connection); });
}

torch::Tensor PostgresReader::files_under(const std::string& path) {
  const PathRange range = path_range(path);
  return session_->use([&](PostgresConnection& connection) {
    const PostgresRows rows = connection.run(
        "SELECT id FROM cavmae.files WHERE path = $1 OR (path >= $2 AND path < $3) ORDER BY id", range.self,
        range.first, range.behind);
    torch::Tensor out = torch::empty({rows.size()}, torch::kInt64);
    for (int64_t row = 0; row < rows.size(); ++row) out.data_ptr<int64_t>()[row] = rows.integer(row, 0);
    return out;
  });
}

std::vector<LibraryFile> PostgresReader::files_called(const std::string& name) {
  return session_->use([&](PostgresConnection& connection) {
    return files_of(connection.run(
        std::string(kSelectFiles) +
            "WHERE path = $1 OR right(path, length($2)) = $2 OR audio_path = $1 OR right(audio_path, "
            "length($2)) = $2 ORDER BY path",
        path_to_text(name), path_to_text("/" + name)));
  });
}

ClipVectors PostgresReader::vectors(int64_t moment) {
  const LibrarySettings settings = snapshot()->settings();
  return session_->use([&](PostgresConnection& connection) {
    const PostgresRows rows =
        connection.run(concat("SELECT ", vector_column(settings, ClipSide::audio), ", ",
                              vector_column(settings, ClipSide::video), " FROM cavmae.moments WHERE id = $1"),
                       moment);
    CAVMAE_CHECK_AS(DataError, rows.size() > 0, name(), ": has no moment ", moment);
    const auto read = [&](int column) {
      return rows.is_null(0, column) ? torch::Tensor()
                                     : tensor_of_vector_text(rows.text(0, column)).to(torch::kFloat32);
    };
    return ClipVectors{.audio = read(0), .video = read(1)};
  });
}

}  // namespace cavmae
