#include "cavmae/core/paths.h"

#include <gtest/gtest.h>

#include "tests/support/program.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;

class PathsTest : public testing::Test {
 protected:
  PathsTest() {
    fs::create_directories(folder / "real/deep");
    fs::create_directories(folder / "plain");
    fs::create_directory_symlink("real/deep", folder / "link");
  }
  TemporaryFolder folder;
};

TEST_F(PathsTest, DotsGoWhereNoLinkStandsBeforeThem) {
  EXPECT_EQ(resolve_path(folder / "plain/../real//./x"), folder / "real/x");
  EXPECT_EQ(resolve_path(folder / "link/../x"), folder / "link/../x");
  EXPECT_EQ(resolve_path(folder / "missing/../x"), folder / "missing/../x");
  EXPECT_EQ(resolve_path("../x"), "../x");
  EXPECT_EQ(resolve_path("./x"), "x");
  EXPECT_EQ(resolve_path("."), ".");
  EXPECT_EQ(resolve_path("/../x"), "/x");
  EXPECT_EQ(resolve_path("/"), "/");
  EXPECT_EQ(resolve_path(""), "");
  EXPECT_EQ(absolute_path("x"), fs::current_path() / "x");
}

TEST_F(PathsTest, WhatIsResolvedIsTheSystemsFile) {
  std::ofstream(folder / "real/x") << "here";
  std::ofstream(folder / "x") << "elsewhere";
  for (const char* path : {"link/../x", "plain/../x", "plain/.././real/x", "real/deep/../x"})
    EXPECT_TRUE(fs::equivalent(resolve_path(folder / path), folder / path)) << path;
}

TEST_F(PathsTest, AFileIsNamedFromAFolderThatIsALink) {
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  std::ofstream("x") << "";
  EXPECT_TRUE(fs::equivalent(folder / "link" / path_from_folder("x", "link"), folder / "x"));
  EXPECT_EQ(path_from_folder("plain/x", "plain"), "x");
  EXPECT_EQ(path_from_folder("plain/x", ""), "plain/x");
  EXPECT_EQ(path_from_folder("/plain/x", "plain"), "/plain/x");
  fs::current_path(before);
  EXPECT_EQ(folder_of("x"), ".");
  EXPECT_EQ(folder_of("a/x"), "a");
}

}  // namespace
}  // namespace cavmae
