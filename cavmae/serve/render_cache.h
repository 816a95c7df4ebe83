// Pictures and clips that were made once, kept while there is room; what several ask for at once is made
// once. Safe from several threads.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

namespace cavmae {

struct Rendering {
  std::shared_ptr<const std::string> bytes;
  std::string content_type;
};

class RenderCache {
 public:
  explicit RenderCache(int64_t max_bytes) : max_bytes_(max_bytes) {}

  // What `make` gave for the key, now or before. Where it throws, the next who waits tries again.
  Rendering get(const std::string& key, const std::function<Rendering()>& make);

  int64_t bytes() const;
  int64_t hits() const;
  int64_t misses() const;

 private:
  struct Entry {
    std::string key;
    Rendering rendering;
  };
  void keep(const std::string& key, const Rendering& rendering);

  int64_t max_bytes_;
  mutable std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  std::list<Entry> entries_;  // the one that was asked for last in front
  std::map<std::string, std::list<Entry>::iterator> by_key_;
  std::set<std::string> in_work_;  // keys that are being made
  int64_t bytes_ = 0, hits_ = 0, misses_ = 0;
};

}  // namespace cavmae
