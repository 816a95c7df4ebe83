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
  ++account_.seen;
  ++account_.bad;
  if (account_.bad <= kNumExamples) examples_.push_back(clip);
  log_->add(clip);
}

void BadClips::check_share(bool at_end) const {
  if (limit_ == Limit::here &&
      too_many_bad(account_, max_bad_ratio_, at_end ? EpochIs::at_end : EpochIs::under_way))
    throw_too_many_bad(account_, max_bad_ratio_, examples_);
}

bool too_many_bad(const ClipAccount& account, double max_bad_ratio, EpochIs epoch) {
  const auto bad = static_cast<double>(account.bad);
  const bool enough_to_tell = epoch == EpochIs::at_end || account.bad >= kNumExamples || max_bad_ratio == 0.0;
  const bool too_many = bad > max_bad_ratio * static_cast<double>(account.clips) && enough_to_tell;
  const bool hopeless = account.bad >= kEarlyNumBad &&
                        bad > std::max(max_bad_ratio, kEarlyRatio) * static_cast<double>(account.seen);
  return too_many || hopeless;
}

void throw_too_many_bad(const ClipAccount& account, double max_bad_ratio,
                        const std::vector<BadClip>& examples) {
  std::string text = concat(account.bad, " of the first ", account.seen, " clips (", account.clips,
                            " in all) cannot be read, more than max_bad_ratio ", max_bad_ratio, " allows:");
  const auto named = std::min<int64_t>(kNumExamples, static_cast<int64_t>(examples.size()));
  for (int64_t i = 0; i < named; ++i) {
    const BadClip& clip = examples[static_cast<size_t>(i)];
    text += "\n  - " + clip.id + ": " + clip.reason;
  }
  if (account.bad > named) text += concat("\n  - and ", account.bad - named, " more");
  throw DataError(text + "\nMend them, take them out of the data, or allow more with --max-bad-ratio.");
}

}  // namespace cavmae
