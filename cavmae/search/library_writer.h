// The one process that adds to a library: it seals the tail into segments, merges small segments, mends lost
// ones, and makes a new generation beside the one that is searched. What is written is whole at any moment;
// readers see the old or the new. One thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cavmae/core/file_lock.h"
#include "cavmae/core/log.h"
#include "cavmae/search/catalog.h"
#include "cavmae/search/library_settings.h"
#include "cavmae/search/segment.h"

namespace cavmae {

// What becomes of a library that is there: it is added to, or a new generation of it is made from nothing,
// which counts once it is whole.
enum class LibraryStart { add, rebuild };

// What was found of the segments, see LibraryWriter::check().
struct LibraryCheck {
  int64_t segments = 0;
  std::vector<std::string> damaged;  // their files, and what is wrong
  int64_t files_to_repeat = 0;       // whose moments lay in them
};

class LibraryWriter {
 public:
  // Opens the library, or makes one. Throws ConfigError: another process writes to it, it was made with
  // another model or hop (both are named), or the folder holds something else.
  LibraryWriter(const std::filesystem::path& library, const LibrarySettings& wanted, LibraryStart start,
                std::shared_ptr<Log> log);

  const LibrarySettings& settings() const { return settings_; }
  Catalog& catalog() { return *catalog_; }

  // After something was added: writes a segment when the tail is long, and joins segments that are small.
  void seal_if_due();
  // The same of any tail; then gives segments that lack them the lists that the library's index asks for.
  void seal();
  // Reads every segment and compares checksums. One that is lost or damaged is removed, and the files whose
  // moments lay in it count as changed, so that indexing them again mends the library.
  LibraryCheck check();
  // A rebuilt generation becomes the library, and the former one is removed.
  void finish();

 private:
  void open_generation();
  void remove_leftovers();
  void merge();
  void make_lists();
  torch::Tensor training_sample(ClipSide side, int64_t size) const;
  MomentRows rows_of(const SegmentRecord& segment) const;
  void write(const std::vector<int64_t>& replaced);

  std::filesystem::path library_;
  LibrarySettings settings_;
  LibraryStart start_;
  std::shared_ptr<Log> log_;
  FileLock lock_;
  std::filesystem::path generation_;
  std::unique_ptr<Catalog> catalog_;
};

}  // namespace cavmae
