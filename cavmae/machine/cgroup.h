// What the control groups of Linux (containers, batch systems) leave of the machine to this process. Safe
// from any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace cavmae {

struct CgroupLimits {
  std::optional<double> cpus;            // processors' worth of time
  std::optional<uint64_t> memory_bytes;  // what may be resident
};

// The tightest limits from the process's group up to the root, version 2 or 1. `root` stands before /proc and
// /sys. What cannot be read is no limit.
CgroupLimits read_cgroup_limits(const std::filesystem::path& root = "/");

}  // namespace cavmae
