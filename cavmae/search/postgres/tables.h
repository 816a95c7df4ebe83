// Reading a library's tables in PostgreSQL into the vocabulary of libraries. Private to this folder. Free
// functions; each is one statement.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/search/library_file.h"
#include "cavmae/search/library_settings.h"
#include "cavmae/search/postgres/connection.h"

namespace cavmae {

// The library as a whole.
struct PostgresState {
  LibrarySettings settings;
  LibraryCounts counts;
  int64_t changes = 0;  // each transaction that changes the library counts one more
};
// Throws ConfigError where the database holds no library, DataError where its tables are of another version.
PostgresState read_state(PostgresConnection& connection, const std::string& name);

// Begins a SELECT of files; files_of() takes its rows.
constexpr const char* kSelectFiles =
    "SELECT id, path, audio_path, stamp, content, end_ms, has_audio, has_video, num_moments FROM cavmae.files ";
std::vector<LibraryFile> files_of(const PostgresRows& rows);
std::optional<LibraryFile> first_file_of(const PostgresRows& rows);

// The columns that moment_of() takes, first in a row.
constexpr const char* kMomentColumns = "id, file, start_ms, end_ms";
Moment moment_of(const PostgresRows& rows, int64_t row);

std::vector<FileFailure> read_failures(PostgresConnection& connection);

// What is at or below a path: path = self OR path >= first AND path < behind, by bytes.
struct PathRange {
  std::string self, first, behind;
};
PathRange path_range(const std::string& path);

// How a vector's column is selected so that vector_bytes_of_text() takes it.
std::string vector_column(const LibrarySettings& settings, ClipSide side);

}  // namespace cavmae
