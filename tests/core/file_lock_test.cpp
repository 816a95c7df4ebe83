#include "cavmae/core/file_lock.h"

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>

#include <gtest/gtest.h>

#include "cavmae/core/error.h"

#include "tests/support/temporary_folder.h"

namespace cavmae {
namespace {

TEST(FileLock, IsOneOwnersUntilItGoes) {
  const TemporaryFolder folder;
  for (const auto& path : {folder.path(), folder / "file.lock"}) {
    std::optional<FileLock> first(path);
    std::atomic<bool> has_second = false;
    std::jthread other([&] {
      const FileLock second(path);
      has_second = true;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_FALSE(has_second);
    first.reset();
    other.join();
    EXPECT_TRUE(has_second);
  }
}

TEST(FileLock, SaysThatAnotherHasIt) {
  const TemporaryFolder folder;
  const FileLock first(folder.path());
  EXPECT_EQ(message_from<ConfigError>([&] { FileLock(folder.path(), "is in use"); }),
            folder.path().string() + ": is in use");
}

TEST(FileLock, NamesTheFileThatCannotBeCreated) {
  const TemporaryFolder folder;
  EXPECT_NE(message_from<Error>([&] { FileLock(folder / "no/file.lock"); }).find("no/file.lock"),
            std::string::npos);
}

}  // namespace
}  // namespace cavmae
