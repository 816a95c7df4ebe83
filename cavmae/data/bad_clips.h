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

// What became of an epoch's clips so far, in order.
struct ClipAccount {
  int64_t clips = 0;  // of the whole epoch
  int64_t seen = 0, bad = 0;
};

// Whether too many are bad. That is so when more than the allowed share of the whole epoch is, and waits for
// a handful of examples to show or for the end of the epoch; or when most of a good number of clips is bad
// from the start, however many are still to come.
enum class EpochIs { under_way, at_end };
bool too_many_bad(const ClipAccount& account, double max_bad_ratio, EpochIs epoch);
// The DataError that says so, naming the first few of `examples`.
[[noreturn]] void throw_too_many_bad(const ClipAccount& account, double max_bad_ratio,
                                     const std::vector<BadClip>& examples);

// Those of one epoch. Not for several threads at once.
class BadClips {
 public:
  // `num_clips`: of the epoch. One of several ranks only counts: the ranks look at their sum.
  enum class Limit { here, of_ranks };
  BadClips(double max_bad_ratio, int64_t num_clips, std::shared_ptr<BadClipLog> log,
           Limit limit = Limit::here)
      : max_bad_ratio_(max_bad_ratio), limit_(limit), log_(std::move(log)) {
    account_.clips = num_clips;
  }

  // The next clip in order was read, or was not.
  void count_good() { ++account_.seen; }
  void count_bad(const BadClip& clip);

  // Throws DataError when too many are bad, where the limit is kept here.
  void check_share(bool at_end) const;
  const ClipAccount& account() const { return account_; }

 private:
  double max_bad_ratio_;
  Limit limit_;
  std::shared_ptr<BadClipLog> log_;
  std::vector<BadClip> examples_;  // the first few
  ClipAccount account_;
};

}  // namespace cavmae
