// The launcher, which gives the program its environment and becomes it.
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/program.h"

namespace cavmae {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing_support::Outcome;
using testing_support::run_shell;

// In the place of the program, a script that shows how it was started.
class Launcher : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(folder_ / "bin");
    std::filesystem::copy_file(CAVMAE_PROGRAM, folder_ / "bin/cavmae");
  }
  void put_program(const std::string& place) const {
    std::filesystem::create_directories((folder_ / place).parent_path());
    write_file(folder_ / place, "#!/bin/sh\necho \"$@\"\nenv\nexit 7\n");
    std::filesystem::permissions(folder_ / place, std::filesystem::perms::owner_all);
  }
  Outcome start(const std::string& before, const std::string& arguments) const {
    return run_shell("env -u GOMP_SPINCOUNT -u OMP_WAIT_POLICY -u GLIBC_TUNABLES " + before + " " +
                     (folder_ / "bin/cavmae").string() + " " + arguments);
  }
  TemporaryFolder folder_;
};

TEST_F(Launcher, StartsTheProgramOfItsBuildOrInstallationWithWhatLibrariesAreToFind) {
  for (const char* place : {"bin/libexec/cavmae/cavmae", "libexec/cavmae/cavmae"}) {
    put_program(place);
    const Outcome outcome = start("", "one 'two three'");
    EXPECT_EQ(outcome.exit_code, 7) << place;
    EXPECT_THAT(outcome.out, testing::StartsWith("one two three\n")) << place;
    EXPECT_THAT(outcome.out, HasSubstr("GOMP_SPINCOUNT=3000\n")) << place;
    EXPECT_THAT(outcome.out, HasSubstr("GLIBC_TUNABLES=glibc.malloc.hugetlb=1\n")) << place;
    std::filesystem::remove_all((folder_ / place).parent_path());
  }
}

TEST_F(Launcher, LeavesAloneWhatTheUserDecided) {
  put_program("libexec/cavmae/cavmae");
  const Outcome outcome = start("OMP_WAIT_POLICY=active GLIBC_TUNABLES=glibc.malloc.check=0", "");
  EXPECT_THAT(outcome.out, Not(HasSubstr("GOMP_SPINCOUNT")));
  EXPECT_THAT(outcome.out, HasSubstr("GLIBC_TUNABLES=glibc.malloc.check=0\n"));
}

TEST_F(Launcher, SaysWhereTheProgramIsMissing) {
  const Outcome outcome = start("", "info");
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("libexec/cavmae/cavmae cannot be started: No such file or directory"));
  EXPECT_THAT(outcome.err, HasSubstr("install cavmae as a whole"));
}

}  // namespace
}  // namespace cavmae
