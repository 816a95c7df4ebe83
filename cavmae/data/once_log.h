// Warnings about clips that are given once each, however often and by however many threads the clip is read.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>

#include "cavmae/core/log.h"

namespace cavmae {

class OnceLog {
 public:
  // `log` may be null: nothing is said.
  explicit OnceLog(std::shared_ptr<Log> log) : log_(std::move(log)) {}

  // "a.mp4: its first channel is silent ...". After the first few only that there are more.
  void warn(const std::string& source, const std::string& what);

 private:
  static constexpr size_t kMostLines = 20;

  std::shared_ptr<Log> log_;
  std::mutex mutex_;
  std::unordered_set<std::string> said_;
};

}  // namespace cavmae
