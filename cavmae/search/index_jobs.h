// Which files of a list a library does not hold as they are. Private to this folder.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cavmae/data/clip_list.h"
#include "cavmae/search/indexer.h"

namespace cavmae {

// A file that is to be read.
struct IndexJob {
  ClipSource clip;                      // whole: without a pinned start
  std::string path, audio_path, stamp;  // as LibraryFile has them
  int64_t bytes = 0;
  bool is_known = false;  // the library has an older one
};

// What a list is to a library.
class ListedFiles {
 public:
  // Looks at each world.size()-th file, from the world.rank()-th on. Counts those that are unchanged, and
  // those that failed before and are unchanged.
  ListedFiles(LibraryWriter& library, const ClipList& files, const World& world, IndexResult& result);

  // The others of these, in the order of the list, each once.
  std::vector<IndexJob> take_jobs() { return std::move(jobs_); }
  // Whether the list names the file, or it is there on the disk: members of shards are in lists alone.
  bool has(const LibraryFile& file) const;

 private:
  std::set<std::pair<std::string, std::string>> listed_;  // paths of pictures and sound
  std::vector<IndexJob> jobs_;
};

// As LibraryFile has it, of the files as they are now.
std::string stamp_of(const ClipSource& clip);
// Hash of all its bytes. Throws MediaError.
std::string content_of(const ClipSource& clip);

}  // namespace cavmae
