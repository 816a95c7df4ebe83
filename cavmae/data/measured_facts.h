// Facts of the sources that had to be read as a whole to find them, for a run without a cache. Safe from
// several threads at once.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>

#include "cavmae/core/mutex.h"
#include "cavmae/data/feature_cache.h"
#include "cavmae/data/file_facts.h"

namespace cavmae {

class MeasuredFacts {
 public:
  std::optional<FileFacts> find(const CacheKey& key) const {
    const MutexLock lock(mutex_);
    const auto found = kept_.find(key.name);
    if (found == kept_.end() || found->second.stamp != key.stamp) return std::nullopt;
    return found->second.facts;
  }

  void keep(const CacheKey& key, const FileFacts& facts) {
    constexpr size_t kMostSources = 100'000;  // some 50 MB
    const MutexLock lock(mutex_);
    if (kept_.size() < kMostSources) kept_[key.name] = {.stamp = key.stamp, .facts = facts};
  }

 private:
  struct Kept {
    std::string stamp;
    FileFacts facts;
  };
  mutable Mutex mutex_;
  std::unordered_map<std::string, Kept> kept_ CAVMAE_GUARDED_BY(mutex_);
};

}  // namespace cavmae
