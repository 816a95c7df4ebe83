#include "cavmae/core/log.h"

#include <gmock/gmock.h>

#include "cavmae/core/files.h"

#include "tests/support/temporary_folder.h"

namespace cavmae {
namespace {

TEST(FileLog, HoldsLinesBackUntilItsFileIsOpen) {
  const TemporaryFolder folder;
  FileLog log(*null_log());
  log.log()->warn("first");
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  log.open(folder / "run.log");
  log.log()->info("second");
  EXPECT_THAT(read_text(folder / "run.log"), ::testing::ContainsRegex("warning: first\n.*info: second\n"));
}

TEST(FileLog, AppendsAndGoesWhereTheOtherLogGoes) {
  const TemporaryFolder folder;
  FileLog outer(*null_log());
  outer.open(folder / "outer.log");
  write_file(folder / "run.log", "old\n");
  FileLog inner(*outer.log());
  inner.open(folder / "run.log");
  inner.log()->info("new");
  EXPECT_THAT(read_text(folder / "run.log"), ::testing::ContainsRegex("old\n.*info: new\n"));
  EXPECT_THAT(read_text(folder / "outer.log"), ::testing::HasSubstr("info: new"));
}

}  // namespace
}  // namespace cavmae
