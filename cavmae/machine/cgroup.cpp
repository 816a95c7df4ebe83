#include "cavmae/machine/cgroup.h"

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "cavmae/core/text.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

constexpr uint64_t kNoLimit = uint64_t{1} << 60;  // version 1 writes a number near 2^63 for none

template <class T>
void tighten(std::optional<T>& limit, T value) {
  limit = limit ? std::min(*limit, value) : value;
}

// The first number of a file; none where it says "max" or there is no such file.
std::optional<double> number_in(const fs::path& path) {
  std::ifstream in(path);
  double value = 0;
  return in >> value ? std::optional(value) : std::nullopt;
}

void read_cpus(const fs::path& group, CgroupLimits& limits) {
  std::ifstream in(group / "cpu.max");  // "QUOTA PERIOD" or "max PERIOD"
  double quota = 0, period = 0;
  if (in >> quota >> period && period > 0) tighten(limits.cpus, quota / period);
  const auto old_quota = number_in(group / "cpu.cfs_quota_us"),
             old_period = number_in(group / "cpu.cfs_period_us");
  if (old_quota && old_period && *old_quota > 0 && *old_period > 0)
    tighten(limits.cpus, *old_quota / *old_period);
}

void read_memory(const fs::path& group, CgroupLimits& limits) {
  for (const char* name : {"memory.max", "memory.limit_in_bytes"})
    if (const auto bytes = number_in(group / name);
        bytes && *bytes > 0 && *bytes < static_cast<double>(kNoLimit))
      tighten(limits.memory_bytes, static_cast<uint64_t>(*bytes));
}

// The folders from `mount`/`group` up to `mount`.
std::vector<fs::path> chain(const fs::path& mount, const fs::path& group) {
  std::vector<fs::path> folders{mount};
  for (const auto& part : group.relative_path()) folders.push_back(folders.back() / part);
  return folders;
}

}  // namespace

CgroupLimits read_cgroup_limits(const fs::path& root) {
  CgroupLimits limits;
  const fs::path mounts = root / "sys/fs/cgroup";
  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {  // "NUMBER:CONTROLLERS:/GROUP"
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const auto controllers = split(line.substr(first + 1, second - first - 1), ',');
    const fs::path group = line.substr(second + 1);
    for (const auto& controller : controllers) {
      const bool unified = controller.empty();
      if (!unified && controller != "cpu" && controller != "memory") continue;
      const fs::path mount = unified ? mounts : mounts / controller;
      for (const auto& folder : chain(mount, group)) {
        read_cpus(folder, limits);
        read_memory(folder, limits);
      }
    }
  }
  return limits;
}

}  // namespace cavmae
