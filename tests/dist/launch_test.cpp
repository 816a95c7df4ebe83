#include "cavmae/dist/launch.h"

#include <map>

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"

#include "tests/support/temporary_folder.h"

namespace cavmae {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Variables = std::map<std::string, std::string>;

Environment environment_of(const Variables& variables) {
  return [variables](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  };
}

Launch launch_in(const Variables& variables, const std::filesystem::path& out = "/tmp/run") {
  return find_launch({}, out, environment_of(variables));
}

TEST(Launch, AProcessAloneIsRankZeroOfOne) {
  const Launch launch = launch_in({});
  EXPECT_EQ(launch.rank, 0);
  EXPECT_EQ(launch.size, 1);
  EXPECT_EQ(launch.launcher, "");
}

TEST(Launch, TorchrunTellsAllOfIt) {
  const Launch launch = launch_in({{"RANK", "3"},
                                   {"WORLD_SIZE", "4"},
                                   {"LOCAL_RANK", "1"},
                                   {"MASTER_ADDR", "node1"},
                                   {"MASTER_PORT", "29500"},
                                   {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                                   {"TORCHELASTIC_RUN_ID", "none"},
                                   {"TORCHELASTIC_RESTART_COUNT", "2"}});
  EXPECT_EQ(launch.rank, 3);
  EXPECT_EQ(launch.size, 4);
  EXPECT_EQ(launch.local_rank, 1);
  EXPECT_EQ(launch.launcher, "torchrun");
  EXPECT_EQ(launch.place.url(), "tcp://node1:29500");
  EXPECT_TRUE(launch.place.kept_by_launcher);
  EXPECT_EQ(launch.place.launch, "none-2") << "a restarted launch does not meet the one before";
}

TEST(Launch, MpirunMeetsInAFileBesideTheRun) {
  const TemporaryFolder folder;
  const Variables variables = {
      {"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "2"}, {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
      {"PMIX_NAMESPACE", "12345"},   {"SLURM_PROCID", "0"},         {"SLURM_STEP_NUM_TASKS", "1"}};
  const Launch launch = launch_in(variables, folder / "runs/first/");
  EXPECT_EQ(launch.launcher, "Open MPI");
  EXPECT_EQ(launch.rank, 1);
  EXPECT_EQ(launch.place.file, folder / ".first.meeting-12345") << "in a folder that is there";
}

TEST(Launch, SlurmsAllocationIsNotALaunch) {
  EXPECT_EQ(launch_in({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}}).size, 1);
  const Launch launch = launch_in({{"SLURM_PROCID", "2"},
                                   {"SLURM_NTASKS", "4"},
                                   {"SLURM_STEP_NUM_TASKS", "4"},
                                   {"SLURM_LOCALID", "0"},
                                   {"SLURM_JOB_ID", "77"},
                                   {"SLURM_STEP_ID", "1"}});
  EXPECT_EQ(launch.launcher, "Slurm");
  EXPECT_EQ(launch.rank, 2);
  EXPECT_EQ(launch.size, 4);
  EXPECT_EQ(launch.place.launch, "77-1");
}

// As MPICH 4's Hydra and Intel MPI's set them.
TEST(Launch, HydraMeetsInAFileBesideTheRunOnOneHost) {
  const TemporaryFolder folder;
  Variables variables = {{"PMI_RANK", "1"},
                         {"PMI_SIZE", "2"},
                         {"PMI_FD", "7"},
                         {"MPI_LOCALRANKID", "1"},
                         {"MPI_LOCALNRANKS", "2"}};
  const auto launch = [&] { return find_launch({}, folder / "run", environment_of(variables), "4711-99"); };
  EXPECT_EQ(launch().launcher, "PMI");
  EXPECT_EQ(launch().rank, 1);
  EXPECT_EQ(launch().local_rank, 1);
  EXPECT_EQ(launch().place.file, folder / ".run.meeting-4711-99");
  variables["MPI_LOCALNRANKS"] = "1";
  EXPECT_THAT(message_from<ConfigError>(launch), HasSubstr("--dist-url"))
      << "processes on other hosts have another parent";
}

TEST(Launch, SiblingsHaveOneLaunchingProcess) {
  const std::string own = launching_process();
  EXPECT_THAT(own, ::testing::MatchesRegex("[0-9]+-[0-9]+"));
  const TemporaryFolder folder;
  for (const char* name : {"a", "b"})
    if (::fork() == 0) {
      write_file(folder / name, launching_process());
      ::_exit(0);
    }
  while (::wait(nullptr) > 0) {
  }
  EXPECT_EQ(read_text(folder / "a"), read_text(folder / "b"));
  EXPECT_NE(read_text(folder / "a"), own);
  EXPECT_TRUE(read_text(folder / "a").starts_with(concat(::getpid(), "-")));
}

TEST(Launch, FlagsGoBeforeALauncher) {
  const Launch launch = find_launch({.rank = 1, .size = 3, .url = "tcp://[::1]:700"}, "",
                                    environment_of({{"RANK", "0"}, {"WORLD_SIZE", "9"}}));
  EXPECT_EQ(launch.rank, 1);
  EXPECT_EQ(launch.size, 3);
  EXPECT_EQ(launch.place.host, "::1");
  EXPECT_EQ(launch.place.port, 700);
}

TEST(Launch, WhatDoesNotFitIsNamed) {
  const auto message = [](const LaunchFlags& flags, const Variables& variables) {
    return message_from<ConfigError>([&] { find_launch(flags, "", environment_of(variables)); });
  };
  EXPECT_THAT(message({.rank = 1, .size = {}, .url = ""}, {}), HasSubstr("--dist-size"));
  EXPECT_THAT(message({.rank = 2, .size = 2, .url = ""}, {}),
              HasSubstr("--dist-rank is 2 and --dist-size is 2"));
  EXPECT_THAT(message({.rank = 0, .size = 2, .url = ""}, {}), HasSubstr("--dist-url"));
  EXPECT_THAT(message({.rank = 0, .size = 2, .url = "node1:80"}, {}), HasSubstr("tcp://HOST:PORT"));
  EXPECT_THAT(message({.rank = 0, .size = 2, .url = "tcp://node1:80000"}, {}),
              HasSubstr("the port is 80000"));
  EXPECT_THAT(message({.rank = {}, .size = {}, .url = "tcp://node1:80"}, {}), HasSubstr("--dist-rank"));
  EXPECT_THAT(message({}, {{"RANK", "x"}, {"WORLD_SIZE", "2"}}), HasSubstr("RANK is 'x'"));
  EXPECT_THAT(message({}, {{"PMI_RANK", "5"}, {"PMI_SIZE", "2"}}),
              AllOf(HasSubstr("PMI_RANK is 5"), HasSubstr("PMI_SIZE is 2")));
}

}  // namespace
}  // namespace cavmae
