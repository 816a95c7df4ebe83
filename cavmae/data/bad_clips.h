// The account of clips that could not be read: each is logged once, and too many stop the run. Not
// for several threads at once.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/data/clip.h"

namespace cavmae {

class BadClips {
 public:
  BadClips(double max_bad_ratio, std::shared_ptr<Log> log)
      : max_bad_ratio_(max_bad_ratio), log_(std::move(log)) {}

  // A new epoch of `num_clips` clips.
  void start_epoch(int64_t num_clips);

  // The next clip in order was read, or was not.
  void count_good() { ++num_seen_; }
  void count_bad(BadClip clip);

  // Throws DataError when too many are bad. That is so when more than the allowed share of the whole epoch
  // is, and waits for a handful of examples to show or for the end of the epoch; or when most of a good
  // number of clips is bad from the start, however many are still to come.
  void check_share(bool at_end) const;

  const std::vector<BadClip>& all() const { return all_; }  // once each, in order of discovery

 private:
  double max_bad_ratio_;
  std::shared_ptr<Log> log_;
  std::vector<BadClip> all_;
  std::unordered_set<std::string> known_;
  std::vector<BadClip> examples_;  // the first few of this epoch
  int64_t num_clips_ = 0, num_seen_ = 0, num_bad_ = 0;
};

}  // namespace cavmae
