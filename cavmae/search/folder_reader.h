// A library in a folder, for those who search in it. Private to this folder; safe from several threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/search/folder_snapshot.h"
#include "cavmae/search/library_reader.h"

namespace cavmae {

class FolderReader : public LibraryReader {
 public:
  // Throws ConfigError where there is no library, DataError where it is damaged.
  explicit FolderReader(const std::filesystem::path& library);

  std::shared_ptr<const FolderSnapshot> folder_snapshot();

  std::shared_ptr<const LibrarySnapshot> snapshot() override { return folder_snapshot(); }
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
  std::filesystem::path library_;
  std::mutex mutex_;  // of what follows
  int64_t generation_ = 0, data_version_ = 0;
  std::unique_ptr<Catalog> catalog_;
  std::shared_ptr<const FolderSnapshot> snapshot_;
};

}  // namespace cavmae
