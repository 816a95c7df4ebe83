// Ranks that are processes, on Gloo: the test program, started again as each of them.
#pragma once

#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cavmae/core/text.h"
#include "cavmae/dist/process_group.h"

#include "tests/support/temporary_folder.h"

namespace cavmae::testing_support {

// As a rank `run` gives its text, which the test that starts the ranks gets of all of them. In a rank itself
// nothing comes back, and its test ends there.
inline std::vector<std::string> on_processes(int64_t ranks, const std::function<std::string(World&)>& run) {
  const char* const as_rank = std::getenv("CAVMAE_TEST_RANK");
  if (as_rank != nullptr) {
    const std::filesystem::path folder = std::getenv("CAVMAE_TEST_FOLDER");
    GroupOptions options;
    options.timeout = std::chrono::seconds(120);
    options.launch = {
        .rank = std::atoi(as_rank), .size = ranks, .local_rank = 0, .launcher = "a test", .place = {}};
    options.launch.place.file = folder / "meeting";
    ProcessGroup group(options);
    write_file(folder / ("out." + std::string(as_rank)), run(group));
    group.leave();
    return {};
  }
  const TemporaryFolder folder;
  const ::testing::TestInfo& test = *::testing::UnitTest::GetInstance()->current_test_info();
  const std::string filter = concat("--gtest_filter=", test.test_suite_name(), ".", test.name());
  std::vector<pid_t> children;
  for (int64_t rank = 0; rank < ranks; ++rank) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::setenv("CAVMAE_TEST_RANK", std::to_string(rank).c_str(), 1);
      ::setenv("CAVMAE_TEST_FOLDER", (folder / "").c_str(), 1);
      ::setenv("OMP_NUM_THREADS", "1", 1);
      ::unsetenv("GTEST_OUTPUT");
      ::execl("/proc/self/exe", "test", filter.c_str(), "--gtest_brief=1", nullptr);
      ::_exit(1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) ::waitpid(child, nullptr, 0);
  std::vector<std::string> texts;
  for (int64_t rank = 0; rank < ranks; ++rank) {
    const std::filesystem::path file = folder / ("out." + std::to_string(rank));
    texts.push_back(std::filesystem::exists(file) ? read_text(file) : "nothing");
  }
  return texts;
}

}  // namespace cavmae::testing_support
