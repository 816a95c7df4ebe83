#include "cavmae/core/files.h"

#include <csignal>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "cavmae/core/error.h"
#include "cavmae/core/file_stream.h"

#include "tests/support/temporary_folder.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::HasSubstr;

auto entries(const TemporaryFolder& folder) {
  return std::distance(std::filesystem::directory_iterator(folder.path()), {});
}

TEST(Files, WritingReplacesTheWholeFile) {
  TemporaryFolder folder;
  write_file(folder / "a", "a longer text");
  write_file(folder / "a", std::string("b\0c", 3));
  EXPECT_EQ(read_text(folder / "a"), std::string("b\0c", 3));
  write_file(folder / "a", "");
  EXPECT_EQ(read_text(folder / "a"), "");
  EXPECT_EQ(entries(folder), 1);
}

TEST(Files, AFailureKeepsTheOldFileAndLeavesNoTemporary) {
  TemporaryFolder folder;
  write_file(folder / "a", "old");
  EXPECT_THROW(write_file_with(folder / "a",
                               [](const std::filesystem::path& temporary) {
                                 std::ofstream(temporary) << "half";
                                 throw Error("no more");
                               }),
               Error);
  EXPECT_EQ(read_text(folder / "a"), "old");
  EXPECT_EQ(entries(folder), 1);
}

TEST(Files, AFileThatCannotGrowIsAnErrorWithItsName) {
  TemporaryFolder folder;
  struct rlimit before = {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const struct rlimit small = {.rlim_cur = 1000, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto message = message_from<Error>([&] { write_file(folder / "a", std::string(5000, 'x')); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_THAT(message, AllOf(HasSubstr((folder / "a").string()), HasSubstr("cannot write")));
  EXPECT_EQ(entries(folder), 0);
}

TEST(Files, ReadingSaysWhatIsWrong) {
  TemporaryFolder folder;
  EXPECT_THAT(message_from<Error>([&] { read_text(folder / "none"); }), HasSubstr("No such file"));
  EXPECT_THAT(message_from<Error>([&] { read_text(folder.path()); }), HasSubstr("is a folder"));
}

TEST(Files, MakeDirectoriesNamesTheObstacle) {
  TemporaryFolder folder;
  make_directories(folder / "a/b/c");
  make_directories(folder / "a/b/c");
  EXPECT_TRUE(std::filesystem::is_directory(folder / "a/b/c"));
  write_file(folder / "file", "");
  EXPECT_THAT(message_from<Error>([&] { make_directories(folder / "file"); }),
              HasSubstr("cannot make this folder"));
  EXPECT_THAT(message_from<Error>([&] { make_directories(folder / "file/below"); }),
              HasSubstr("cannot make this folder"));
}

TEST(Files, FreeBytesKnowsPathsThatAreNotThereYet) {
  TemporaryFolder folder;
  EXPECT_GT(free_bytes(folder / "not/yet/there"), 0u);
}

TEST(Files, HumanBytes) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(23'000), "23 kB");
  EXPECT_EQ(human_bytes(1.44e9), "1.4 GB");
  EXPECT_EQ(human_bytes(5e15), "5000.0 TB");
}

TEST(FileStream, ReadsAtPositionsAndStopsAtTheEnd) {
  TemporaryFolder folder;
  write_file(folder / "a", "0123456789");
  const FileReader reader(folder / "a");
  char text[4] = {};
  reader.read(7, text, 3);
  EXPECT_STREQ(text, "789");
  reader.read(10, text, 0);
  EXPECT_THROW(reader.read(8, text, 3), CheckpointError);
  EXPECT_THROW(reader.read(~uint64_t{0}, text, 3), CheckpointError);
}

TEST(FileStream, AppendsAndNamesTheFileThatIsMeant) {
  TemporaryFolder folder;
  FileWriter writer(folder / "temporary", folder / "shown");
  writer.write("abc", 3);
  writer.write("def", 3);
  writer.close();
  EXPECT_EQ(read_text(folder / "temporary"), "abcdef");
  EXPECT_THAT(message_from<Error>([&] { FileWriter(folder / "no/temporary", "shown"); }),
              HasSubstr("shown: cannot be created"));
}

}  // namespace
}  // namespace cavmae
