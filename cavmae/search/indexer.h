// Filling a library: which files are new, changed, moved or gone, and the vectors of their moments. A free
// function; one at a time for a library.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/data/clip_list.h"
#include "cavmae/dist/world.h"
#include "cavmae/models/pretrained.h"
#include "cavmae/search/library_writer.h"

namespace cavmae {

struct IndexOptions {
  int64_t num_workers = 2;        // threads that read files
  int64_t batch_size = 8;         // sounds, or pictures, in one forward pass
  double clip_timeout = 600.0;    // seconds that reading one window may take; 0: any time
  bool prune = false;             // remove files that are no longer there
  World& world = World::alone();  // whose ranks each read a part of the files; all of them call index_files()

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("num_workers", o.num_workers, "threads that read files");
    v("batch_size", o.batch_size, "sounds, or pictures, in one forward pass");
    v("clip_timeout", o.clip_timeout,
      "seconds after which a window that is still being read counts as one that cannot be read (0: never)");
    v("prune", o.prune, "remove files from the library that are no longer there");
  }
  // One ConfigError listing every bad field.
  void validate() const;
};

enum class IndexEnd { done, interrupted };

// Of all ranks.
struct IndexResult {
  IndexEnd end = IndexEnd::done;
  int64_t unchanged = 0, added = 0, changed = 0, moved = 0, pruned = 0;
  int64_t failed = 0;     // files of which nothing could be read, or one side not whole; now or before
  int64_t gone = 0;       // in the library and no longer there
  int64_t by_others = 0;  // that another process has done meanwhile
  int64_t moments = 0;    // that were added
  double seconds = 0.0;
};

// Removes what a library holds at or below `places`, and below none of its data() any more; how many files
// that were. What index_files() seals afterwards.
int64_t forget_files(LibraryWriter& library, const std::vector<std::string>& places);

// Files are known by their paths; one with the size and time that the library knows is left alone, also one
// that failed; else its content decides whether it is new, changed or moved. Each is committed whole, so that
// a process that is stopped or killed loses what it was reading alone. Pinned starts of lists do not count:
// a library holds whole files. While some of the library's data() is not there (a disk that is not mounted),
// what lies in no folder that is there is not pruned. Every rank returns when all are done; what is left to
// do once, the first rank does. Throws Error on a full disk.
IndexResult index_files(LibraryWriter& library, const Pretrained& model, const ClipList& files,
                        const IndexOptions& options, bool show_progress, const std::shared_ptr<Log>& log);

}  // namespace cavmae
