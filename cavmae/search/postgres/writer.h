// Adding to a library in PostgreSQL, as several processes may at once. Private to this folder and
// open_library.cpp. One owner and one thread, but for share().
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/search/library_writer.h"
#include "cavmae/search/postgres/claims.h"
#include "cavmae/search/postgres/session.h"

namespace cavmae {

// How long a lost connection is tried again.
constexpr double kPostgresPatienceSeconds = 60.0;

class PostgresWriter : public LibraryWriter {
 public:
  // Makes the tables, or brings them to this program's version. Throws LibraryAway; ConfigError: it was made
  // with another model, hop or type of vectors (both are named), the server lacks what it needs, or what is
  // wanted is no affair of such a library.
  PostgresWriter(const std::string& url, const LibrarySettings& wanted, LibraryStart start,
                 const std::shared_ptr<Log>& log, double patience_seconds = kPostgresPatienceSeconds);

  LibraryCounts counts() override;
  std::vector<LibraryFile> files() override;
  std::vector<FileFailure> failures() override;
  std::optional<LibraryFile> file_at(const std::string& path, const std::string& audio_path) override;
  std::vector<LibraryFile> files_of_content(const std::string& content) override;
  bool add_file(const LibraryFile& file, const std::vector<NewMoment>& moments,
                const std::vector<FileFailure>& failures) override;
  void remove_file(int64_t id) override;
  bool set_place(const LibraryFile& known, const std::string& path, const std::string& audio_path,
                 const std::string& stamp) override;
  void set_failures(const std::string& path, const std::vector<FileFailure>& failures) override;
  std::unique_ptr<WorkShare> share(const std::vector<IndexJob>& jobs) override;
  void seal() override {}
  // Throws ConfigError: the server has checks of its own.
  LibraryCheck check() override;
  void finish() override {}

 private:
  void agree_on_settings(const LibrarySettings& wanted);

  PostgresWorker worker_;
  std::shared_ptr<PostgresSession> session_;
};

}  // namespace cavmae
