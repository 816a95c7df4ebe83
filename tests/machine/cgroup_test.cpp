#include "cavmae/machine/cgroup.h"

#include <gtest/gtest.h>

#include "cavmae/core/files.h"

#include "tests/support/temporary_folder.h"

namespace cavmae {
namespace {

void put(const std::filesystem::path& path, const std::string& text) {
  make_directories(path.parent_path());
  write_file(path, text);
}

TEST(Cgroup, VersionTwoTakesTheTightestLimitOnTheWay) {
  TemporaryFolder root;
  put(root / "proc/self/cgroup", "0::/outer/inner\n");
  put(root / "sys/fs/cgroup/outer/cpu.max", "150000 100000\n");
  put(root / "sys/fs/cgroup/outer/memory.max", "max\n");
  put(root / "sys/fs/cgroup/outer/inner/cpu.max", "max 100000\n");
  put(root / "sys/fs/cgroup/outer/inner/memory.max", "1000000000\n");
  const auto limits = read_cgroup_limits(root.path());
  EXPECT_EQ(limits.cpus, 1.5);
  EXPECT_EQ(limits.memory_bytes, 1'000'000'000u);
}

TEST(Cgroup, VersionOneIsRead) {
  TemporaryFolder root;
  put(root / "proc/self/cgroup", "4:memory:/box\n1:cpu,cpuacct:/box\n0::/\n");
  put(root / "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "200000");
  put(root / "sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000");
  put(root / "sys/fs/cgroup/memory/box/memory.limit_in_bytes", "9223372036854771712");
  put(root / "sys/fs/cgroup/memory/memory.limit_in_bytes", "5000000000");
  const auto limits = read_cgroup_limits(root.path());
  EXPECT_EQ(limits.cpus, 2.0);
  EXPECT_EQ(limits.memory_bytes, 5'000'000'000u);
}

TEST(Cgroup, NothingThereIsNoLimit) {
  TemporaryFolder root;
  EXPECT_FALSE(read_cgroup_limits(root.path()).cpus);
  put(root / "proc/self/cgroup", "garbage\n::\n1:cpu:/x\n");
  put(root / "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "-1");
  put(root / "sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000");
  EXPECT_FALSE(read_cgroup_limits(root.path()).cpus);
  EXPECT_FALSE(read_cgroup_limits(root.path()).memory_bytes);
}

}  // namespace
}  // namespace cavmae
