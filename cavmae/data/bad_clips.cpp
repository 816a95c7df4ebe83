#include "cavmae/data/bad_clips.h"

#include <algorithm>
#include <utility>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

constexpr int64_t kNumExamples = 5;
constexpr int64_t kEarlyNumBad = 20;
constexpr double kEarlyRatio = 0.5;

}  // namespace

void BadClipLog::add(const BadClip& clip) {
  MutexLock lock(mutex_);
  if (!known_.insert(clip.id).second) return;
  log_->warn("skipped clip '{}': {}", clip.id, clip.reason);
  all_.push_back(clip);
}

std::vector<BadClip> BadClipLog::all() const {
  MutexLock lock(mutex_);
  return all_;
}

void BadClips::count_bad(const BadClip& clip) {
  ++num_seen_;
  ++num_bad_;
  if (num_bad_ <= kNumExamples) examples_.push_back(clip);
  log_->add(clip);
}

void BadClips::check_share(bool at_end) const {
  const auto bad = static_cast<double>(num_bad_);
  const bool enough_to_tell = at_end || num_bad_ >= kNumExamples || max_bad_ratio_ == 0.0;
  const bool too_many = bad > max_bad_ratio_ * static_cast<double>(num_clips_) && enough_to_tell;
  const bool hopeless = num_bad_ >= kEarlyNumBad &&
                        bad > std::max(max_bad_ratio_, kEarlyRatio) * static_cast<double>(num_seen_);
  if (!too_many && !hopeless) return;
  std::string text = concat(num_bad_, " of the first ", num_seen_, " clips (", num_clips_,
                            " in all) cannot be read, more than max_bad_ratio ", max_bad_ratio_, " allows:");
  for (const BadClip& clip : examples_) text += "\n  - " + clip.id + ": " + clip.reason;
  const auto more = num_bad_ - static_cast<int64_t>(examples_.size());
  if (more > 0) text += concat("\n  - and ", more, " more");
  throw DataError(text + "\nMend them, take them out of the data, or allow more with --max-bad-ratio.");
}

}  // namespace cavmae
