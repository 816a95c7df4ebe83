// A library in PostgreSQL, for those who search in it. Private to this folder and open_library.cpp; safe from
// several threads.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cavmae/search/library_reader.h"
#include "cavmae/search/postgres/samples.h"
#include "cavmae/search/postgres/selection.h"
#include "cavmae/search/postgres/session.h"

namespace cavmae {

class PostgresSnapshot : public LibrarySnapshot {
 public:
  PostgresSnapshot(PostgresState state, std::shared_ptr<PostgresSession> session,
                   std::shared_ptr<PostgresSamples> samples);

  int64_t changes() const { return state_.changes; }
  const torch::Tensor& sample(ClipSide side) const override;
  std::vector<std::pair<std::string, std::string>> facts() const override;

 private:
  PostgresState state_;
  std::shared_ptr<PostgresSession> session_;
  std::shared_ptr<PostgresSamples> samples_;
  mutable std::once_flag drawn_[2];
  mutable torch::Tensor drawn_samples_[2];  // of audio, of video
};

// What the library was made with; nothing where the database holds none. Throws as PostgresReader does.
std::optional<LibrarySettings> read_postgres_settings(const std::string& url);

class PostgresReader : public LibraryReader {
 public:
  // Brings the tables to this program's version. Throws LibraryAway, ConfigError where the database holds no
  // library, DataError for one of a later version. `compared_by_server`: see selection.h.
  explicit PostgresReader(const std::string& url, int64_t compared_by_server = kComparedByServer);

  std::shared_ptr<const LibrarySnapshot> snapshot() override;
  std::unique_ptr<MomentSelection> select(const SearchScope& scope) override;
  std::optional<LibraryFile> file(int64_t id) override;
  std::optional<Moment> moment(int64_t id) override;
  std::vector<Moment> moments_of(int64_t file) override;
  std::vector<FileFailure> failures() override;
  torch::Tensor files_under(const std::string& path) override;
  ClipVectors vectors(int64_t moment) override;

 protected:
  std::vector<LibraryFile> files_called(const std::string& name) override;

 private:
  std::shared_ptr<PostgresSession> session_;
  int64_t compared_by_server_;
  std::shared_ptr<PostgresSamples> samples_;
  std::mutex mutex_;  // of what follows
  std::shared_ptr<const PostgresSnapshot> snapshot_;
};

}  // namespace cavmae
