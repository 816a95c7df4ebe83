#include "cavmae/search/open_library.h"

#include "cavmae/search/folder_reader.h"
#include "cavmae/search/folder_writer.h"
#include "cavmae/search/postgres/reader.h"
#include "cavmae/search/postgres/url.h"
#include "cavmae/search/postgres/writer.h"

namespace cavmae {

bool is_library(const std::string& name) {
  return is_postgres_url(name) || holds_library(name);
}

std::string shown_library(const std::string& name) {
  return is_postgres_url(name) ? shown_url(name) : name;
}

std::unique_ptr<LibraryReader> open_library(const std::string& name) {
  if (is_postgres_url(name)) return std::make_unique<PostgresReader>(name);
  return std::make_unique<FolderReader>(name);
}

std::optional<LibrarySettings> library_settings(const std::string& name) {
  if (is_postgres_url(name)) return read_postgres_settings(name);
  if (!holds_library(name)) return std::nullopt;
  return read_library_settings(name);
}

LibrarySettings new_library_settings(const std::string& name) {
  LibrarySettings settings;
  if (is_postgres_url(name)) settings.vectors = VectorType::float16;
  return settings;
}

std::unique_ptr<LibraryWriter> open_library_to_write(const std::string& name, const LibrarySettings& wanted,
                                                     LibraryStart start, const std::shared_ptr<Log>& log) {
  if (is_postgres_url(name)) return std::make_unique<PostgresWriter>(name, wanted, start, log);
  return std::make_unique<FolderWriter>(name, wanted, start, log);
}

std::unique_ptr<LibraryWriter> join_library(const std::string& name, const LibrarySettings& opened,
                                            const std::shared_ptr<Log>& log) {
  if (is_postgres_url(name)) return std::make_unique<PostgresWriter>(name, opened, LibraryStart::add, log);
  return std::make_unique<FolderWriter>(name, opened, log);
}

}  // namespace cavmae
