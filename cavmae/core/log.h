// The log that is passed to whatever has something to tell. Lines go to stderr and, when asked, to a file.
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

// A log to wherever `log` goes and to `file` besides (appended).
std::shared_ptr<Log> also_to_file(const Log& log, const std::filesystem::path& file);

// A log that drops everything; for tests and callers without interest.
std::shared_ptr<Log> null_log();

}  // namespace cavmae
