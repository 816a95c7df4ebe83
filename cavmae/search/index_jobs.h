// Which files of a list a library does not hold as they are. Private to this folder.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cavmae/data/clip_list.h"
#include "cavmae/search/catalog.h"
#include "cavmae/search/indexer.h"

namespace cavmae {

// A file that is to be read.
struct IndexJob {
  ClipSource clip;                      // whole: without a pinned start
  std::string path, audio_path, stamp;  // as LibraryFile has them
  int64_t bytes = 0;
  bool is_known = false;  // the library has an older one
};

// In the order of the list, each file once. Counts those that are unchanged, and those that failed before and
// are unchanged.
std::vector<IndexJob> find_jobs(Catalog& catalog, const ClipList& files, IndexResult& result);

// Hash of all its bytes. Throws MediaError.
std::string content_of(const ClipSource& clip);

// Whether its files are there.
bool is_there(const LibraryFile& file);

}  // namespace cavmae
