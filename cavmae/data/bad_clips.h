// The account of clips that could not be read: each is logged once, and too many stop the run.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/core/mutex.h"
#include "cavmae/data/clip.h"

namespace cavmae {

// Those of all epochs. Safe from several threads.
class BadClipLog {
 public:
  explicit BadClipLog(std::shared_ptr<Log> log) : log_(std::move(log)) {}

  void add(const BadClip& clip);
  std::vector<BadClip> all() const;  // once each, in order of discovery

 private:
  const std::shared_ptr<Log> log_;
  mutable Mutex mutex_;
  std::vector<BadClip> all_ CAVMAE_GUARDED_BY(mutex_);
  std::unordered_set<std::string> known_ CAVMAE_GUARDED_BY(mutex_);
};

// Those of one epoch of `num_clips` clips. Not for several threads at once.
class BadClips {
 public:
  BadClips(double max_bad_ratio, int64_t num_clips, std::shared_ptr<BadClipLog> log)
      : max_bad_ratio_(max_bad_ratio), num_clips_(num_clips), log_(std::move(log)) {}

  // The next clip in order was read, or was not.
  void count_good() { ++num_seen_; }
  void count_bad(const BadClip& clip);

  // Throws DataError when too many are bad. That is so when more than the allowed share of the whole epoch
  // is, and waits for a handful of examples to show or for the end of the epoch; or when most of a good
  // number of clips is bad from the start, however many are still to come.
  void check_share(bool at_end) const;

 private:
  double max_bad_ratio_;
  int64_t num_clips_;
  std::shared_ptr<BadClipLog> log_;
  std::vector<BadClip> examples_;  // the first few
  int64_t num_seen_ = 0, num_bad_ = 0;
};

}  // namespace cavmae
