// The log, passed to whatever writes to it. Lines go to stderr and, when asked, to a file.
// Safe from any thread.
#pragma once

#include <filesystem>
#include <memory>

#include <spdlog/logger.h>

namespace cavmae {

using Log = spdlog::logger;

enum class Verbosity { quiet, normal, debug };

// A log to stderr; `file`, when not empty, receives the same lines (appended).
std::shared_ptr<Log> make_log(Verbosity verbosity, const std::filesystem::path& file = {});

class WaitingFileSink;

// A log to wherever another goes and, from open() on, to a file besides: lines that come before wait for it
// in memory. One owner; the log is safe from any thread and may outlive this.
class FileLog {
 public:
  explicit FileLog(const Log& log);

  const std::shared_ptr<Log>& log() const { return log_; }
  // Appends the lines that wait, and all that follow, to `file`.
  void open(const std::filesystem::path& file);

 private:
  std::shared_ptr<WaitingFileSink> sink_;
  std::shared_ptr<Log> log_;
};

// A log that drops everything; for tests and callers without interest.
std::shared_ptr<Log> null_log();

}  // namespace cavmae
