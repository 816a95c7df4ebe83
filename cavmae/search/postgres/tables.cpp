#include "cavmae/search/postgres/tables.h"

#include "cavmae/core/error.h"
#include "cavmae/core/paths.h"
#include "cavmae/search/postgres/schema.h"
#include "cavmae/search/postgres/texts.h"

namespace cavmae {

PostgresState read_state(PostgresConnection& connection, const std::string& name) {
  const PostgresRows rows = connection.run(
      "SELECT settings, changes, files, moments, (SELECT count(*) FROM cavmae.failures), "
      "(SELECT version FROM cavmae.version) FROM cavmae.library");
  CAVMAE_CHECK_AS(DataError, rows.size() == 1, name, ": its table cavmae.library has ", rows.size(),
                  " rows, where 1 is expected");
  const int64_t version = rows.integer(0, 5);
  CAVMAE_CHECK_AS(DataError, version == kPostgresVersion, name, ": has tables of version ", version,
                  " now, this program knows version ", kPostgresVersion, "; take a later cavmae");
  PostgresState state;
  state.settings = settings_from_json(parse_json(std::string(rows.text(0, 0)), name), name);
  state.changes = rows.integer(0, 1);
  state.counts = {.files = rows.integer(0, 2),
                  .moments = rows.integer(0, 3),
                  .failures = rows.integer(0, 4),
                  .segments = 0,
                  .in_tail = 0};
  return state;
}

std::vector<LibraryFile> files_of(const PostgresRows& rows) {
  std::vector<LibraryFile> out;
  for (int64_t row = 0; row < rows.size(); ++row)
    out.push_back({.id = rows.integer(row, 0),
                   .path = text_to_path(rows.text(row, 1)),
                   .audio_path = text_to_path(rows.text(row, 2)),
                   .stamp = std::string(rows.text(row, 3)),
                   .content = std::string(rows.text(row, 4)),
                   .end_ms = rows.integer(row, 5),
                   .has_audio = rows.truth(row, 6),
                   .has_video = rows.truth(row, 7),
                   .num_moments = rows.integer(row, 8)});
  return out;
}

std::optional<LibraryFile> first_file_of(const PostgresRows& rows) {
  if (rows.size() == 0) return std::nullopt;
  return files_of(rows).front();
}

Moment moment_of(const PostgresRows& rows, int64_t row) {
  return {.id = rows.integer(row, 0),
          .file = rows.integer(row, 1),
          .start_ms = rows.integer(row, 2),
          .end_ms = rows.integer(row, 3)};
}

std::vector<FileFailure> read_failures(PostgresConnection& connection) {
  const PostgresRows rows =
      connection.run("SELECT path, stamp, side, reason FROM cavmae.failures ORDER BY path, side");
  std::vector<FileFailure> out;
  for (int64_t row = 0; row < rows.size(); ++row)
    out.push_back({.path = text_to_path(rows.text(row, 0)),
                   .stamp = std::string(rows.text(row, 1)),
                   .side = side_of_name(std::string(rows.text(row, 2))),
                   .reason = std::string(rows.text(row, 3))});
  return out;
}

PathRange path_range(const std::string& path) {
  PathRange out;
  out.self = path_to_text(absolute_path(path).string());
  out.first = out.self.ends_with('/') ? out.self : out.self + '/';
  out.behind = out.first;
  ++out.behind.back();  // '0': the first text behind all that begin with the folder
  return out;
}

std::string vector_column(const LibrarySettings& settings, ClipSide side) {
  const std::string column = side_name(side);
  return settings.vectors == VectorType::text ? column : "halfvec_send(" + column + ")";
}

}  // namespace cavmae
