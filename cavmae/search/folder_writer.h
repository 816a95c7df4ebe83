// The one process, or the ranks of one launch, that add to a library in a folder: the first seals the tail
// into segments, merges small segments, mends lost ones, and makes a new generation beside the one that is
// searched. What is written is whole at any moment; readers see the old or the new. One thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/core/file_lock.h"
#include "cavmae/core/log.h"
#include "cavmae/search/catalog.h"
#include "cavmae/search/library_settings.h"
#include "cavmae/search/library_writer.h"
#include "cavmae/search/list_model.h"
#include "cavmae/search/segment.h"

namespace cavmae {

class FolderWriter : public LibraryWriter {
 public:
  // Opens the library, or makes one. Throws ConfigError: another process writes to it, it was made with
  // another model or hop (both are named), or the folder holds something else.
  FolderWriter(const std::filesystem::path& library, const LibrarySettings& wanted, LibraryStart start,
               std::shared_ptr<Log> log);
  // Adds to a library that another rank of the same launch has opened with these settings, and leaves
  // segments to it.
  FolderWriter(const std::filesystem::path& library, const LibrarySettings& opened, std::shared_ptr<Log> log);

  Catalog& catalog() { return *catalog_; }

  LibraryCounts counts() override { return catalog_->counts(); }
  std::vector<LibraryFile> files() override { return catalog_->files(); }
  std::vector<FileFailure> failures() override { return catalog_->failures(); }
  std::optional<LibraryFile> file_at(const std::string& path, const std::string& audio_path) override {
    return catalog_->file_at(path, audio_path);
  }
  std::vector<LibraryFile> files_of_content(const std::string& content) override {
    return catalog_->files_of_content(content);
  }
  bool add_file(const LibraryFile& file, const std::vector<NewMoment>& moments,
                const std::vector<FileFailure>& failures) override;
  void remove_file(int64_t id) override { catalog_->remove_file(id); }
  bool set_place(const LibraryFile& known, const std::string& path, const std::string& audio_path,
                 const std::string& stamp) override;
  void set_failures(const std::string& path, const std::vector<FileFailure>& failures) override {
    catalog_->set_failures(path, failures);
  }
  std::unique_ptr<WorkShare> share(const std::vector<IndexJob>& jobs) override;

  // After something was added: writes a segment when the tail is long, and joins segments that are small.
  void seal_if_due();
  // The same of any tail; then gives segments that lack them the lists that the library's index asks for.
  void seal() override;
  // Of every segment.
  LibraryCheck check() override;
  void finish() override;

 private:
  void open_generation();
  void remove_leftovers();
  void merge();
  void make_lists();
  void assign_lists(const ListModels& models);  // to segments that have none
  torch::Tensor training_sample(ClipSide side, int64_t size) const;
  MomentRows rows_of(const SegmentRecord& segment) const;
  void write(const std::vector<int64_t>& replaced);

  std::filesystem::path library_;
  LibraryStart start_;
  std::shared_ptr<Log> log_;
  std::optional<FileLock> lock_;  // none: the first rank has it
  std::filesystem::path generation_;
  std::unique_ptr<Catalog> catalog_;
};

}  // namespace cavmae
