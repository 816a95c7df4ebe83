#include "cavmae/serve/render_cache.h"

namespace cavmae {

int64_t RenderCache::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}
int64_t RenderCache::hits() const {
  const std::lock_guard lock(mutex_);
  return hits_;
}
int64_t RenderCache::misses() const {
  const std::lock_guard lock(mutex_);
  return misses_;
}

Rendering RenderCache::get(const std::string& key, const std::function<Rendering()>& make) {
  std::unique_lock lock(mutex_);
  while (true) {
    if (const auto known = by_key_.find(key); known != by_key_.end()) {
      ++hits_;
      entries_.splice(entries_.begin(), entries_, known->second);
      return known->second->rendering;
    }
    if (!in_work_.contains(key)) break;
    changed_.wait(lock);  // who makes it either keeps it or fails; then the next one tries
  }
  ++misses_;
  in_work_.insert(key);
  lock.unlock();
  Rendering made;
  try {
    made = make();
  } catch (...) {
    lock.lock();
    in_work_.erase(key);
    lock.unlock();
    changed_.notify_all();
    throw;
  }
  lock.lock();
  in_work_.erase(key);
  keep(key, made);
  lock.unlock();
  changed_.notify_all();
  return made;
}

void RenderCache::keep(const std::string& key, const Rendering& rendering) {
  const auto size = static_cast<int64_t>(rendering.bytes->size());
  if (size > max_bytes_) return;
  entries_.push_front({.key = key, .rendering = rendering});
  by_key_[key] = entries_.begin();
  bytes_ += size;
  while (bytes_ > max_bytes_) {
    const Entry& last = entries_.back();
    bytes_ -= static_cast<int64_t>(last.rendering.bytes->size());
    by_key_.erase(last.key);
    entries_.pop_back();
  }
}

}  // namespace cavmae
