// Shards as a user sees them: packed, trained on, moved.
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/json.h"
#include "cavmae/models/pretrained.h"

#include "tests/support/background.h"
#include "tests/support/servers.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing_support::Outcome;
using testing_support::run_cavmae;

class PackCommand : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  // 12 steps; what the network then is, and what each step's loss was.
  struct Run {
    CavMae network;
    std::vector<double> losses;
  };
  std::string training(const std::string& data, const std::string& out, int epochs,
                       const std::string& flags = "") const {
    return "pretrain --config tiny --data '" + data + "' --out " + path(out) + " --epochs " +
           std::to_string(epochs) +
           " --batch-size 4 --embed-dim 32 --num-heads 2 --modality-depth 1 --decoder-embed-dim 32 "
           "--decoder-num-heads 2 --decoder-depth 1 --num-fbank-frames 96 --image-size 32 --window-seconds 1 "
           "--log-interval-steps 1 --no-report --quiet " +
           flags;
  }
  std::vector<double> losses_of(const std::string& out) const {
    std::vector<double> losses;
    std::ifstream metrics(folder_ / out / "metrics.jsonl");
    for (std::string line; std::getline(metrics, line) && !metrics.eof();)  // the last may be half a line
      if (const Json json = Json::parse(line); json.contains("loss")) losses.push_back(json["loss"]);
    return losses;
  }
  Run train_on(const std::string& data, const std::string& out, const std::string& flags = "") const {
    const Outcome outcome = run_cavmae(training(data, out, /*epochs=*/6, flags));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return {.network = load_pretrained(path(out)).network(), .losses = losses_of(out)};
  }
  static void expect_same(const Run& a, const Run& b) {
    EXPECT_GE(a.losses.size(), 12u);
    EXPECT_EQ(a.losses, b.losses);
    const auto found = b.network->named_parameters();
    for (const auto& item : a.network->named_parameters())
      EXPECT_TRUE(item.value().equal(found[item.key()])) << item.key();
  }
  void make_clips(int count, const std::string& flags = "") const {
    ASSERT_EQ(run_cavmae("synth --out " + path("clips") + " --clips " + std::to_string(count) +
                         " --seconds 2 --image-size 48 " + flags)
                  .exit_code,
              0);
  }

  TemporaryFolder folder_;
};

TEST_F(PackCommand, TrainingOnShardsIsTrainingOnTheFiles) {
  make_clips(8);
  const Outcome packed = run_cavmae("pack --data " + path("clips") + " --out " + path("shards") +
                                    " --shard-size 100kB --json " + path("p.json"));
  ASSERT_EQ(packed.exit_code, 0) << packed.err;
  EXPECT_THAT(packed.out, HasSubstr("8 clips -> "));
  const Json result = read_json(folder_ / "p.json");
  EXPECT_EQ(result["clips"], 8);
  ASSERT_GT(result["shards"].get<int64_t>(), 1);
  const Run loose = train_on(path("clips"), "loose");
  std::filesystem::create_directories(folder_ / "elsewhere");
  std::filesystem::rename(folder_ / "shards", folder_ / "elsewhere/shards");
  expect_same(loose, train_on(path("elsewhere/shards"), "on_shards"));
  EXPECT_THAT(run_cavmae("info " + path("elsewhere/shards")).out, HasSubstr("clips          8"));
  if (!testing_support::have_nginx() && !testing_support::is_ci()) return;
  const testing_support::Nginx server(folder_.path());
  expect_same(loose, train_on(server.url("elsewhere/shards"), "by_http"));
  expect_same(loose,
              train_on(server.url("elsewhere/shards"), "by_copies", "--shard-cache " + path("copies")));
}

// A run knows where its clips are on a server, and goes on from there.
TEST_F(PackCommand, ARunOnAServersShardsIsResumed) {
  CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_nginx(), "nginx");
  make_clips(8);
  ASSERT_EQ(run_cavmae("pack --data " + path("clips") + " --out " + path("shards")).exit_code, 0);
  const testing_support::Nginx server(folder_.path());
  train_on(server.url("shards/shard-{000000..000000}.tar"), "run");
  const Json paths = read_json(folder_ / "run/run.json");
  EXPECT_EQ(paths["data"][0], server.url("shards/shard-{000000..000000}.tar"));
  const Outcome more = run_cavmae("pretrain --out " + path("run") + " --resume --no-report --quiet");
  EXPECT_EQ(more.exit_code, 0) << more.err;
}

TEST_F(PackCommand, AServerThatIsGoneForAWhileCostsTheRunAWaitAndALogLine) {
  CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_nginx(), "nginx");
  constexpr int kEpochs = 60;
  make_clips(8);
  ASSERT_EQ(run_cavmae("pack --data " + path("clips") + " --out " + path("shards")).exit_code, 0);
  const Outcome undisturbed = run_cavmae(training(path("shards"), "undisturbed", kEpochs));
  ASSERT_EQ(undisturbed.exit_code, 0) << undisturbed.err;
  testing_support::Nginx server(folder_.path());
  testing_support::Background program(training(server.url("shards"), "run", kEpochs));
  EXPECT_TRUE(testing_support::wait_until([&] { return !losses_of("run").empty() || !program.running(); },
                                          120, "a step"));
  server.stop();
  const size_t before = losses_of("run").size();
  std::this_thread::sleep_for(std::chrono::seconds(3));
  const size_t meanwhile = losses_of("run").size();
  server.start();
  EXPECT_EQ(program.wait().exit_code, 0) << program.err();
  EXPECT_LT(meanwhile, 2u * kEpochs) << "it waits (" << before << " steps before)";
  EXPECT_EQ(losses_of("run"), losses_of("undisturbed"));
  EXPECT_THAT(testing_support::read_whole(folder_ / "run/run.log"),
              AllOf(HasSubstr("asking again for up to"), HasSubstr("is there again after")));
}

// Killed again and again, it ends with the bytes of a job that nothing disturbed.
TEST_F(PackCommand, IsKilledAndGoesOn) {
  make_clips(24);
  const std::string flags = "pack --data " + path("clips") + " --shard-size 50kB --frames 6 --resize 32 " +
                            "--window-seconds 1 --quiet --out ";
  ASSERT_EQ(run_cavmae(flags + path("whole")).exit_code, 0);
  const auto count = [&] {
    int64_t shards = 0;
    std::error_code none;
    for (std::filesystem::directory_iterator it(folder_ / "killed", none), end; !none && it != end; ++it)
      shards += it->path().extension() == ".tar";
    return shards;
  };
  int killed = 0;
  for (int tries = 0; killed < 3 && tries < 20; ++tries) {
    const int64_t before = count();
    testing_support::Background program(flags + path("killed"));
    ASSERT_TRUE(testing_support::wait_until([&] { return count() > before || !program.running(); }, 120,
                                            "another shard"));
    program.send(SIGKILL);
    if (program.wait().ended_by == SIGKILL) {
      ++killed;
      continue;
    }
    killed = 0;  // it was done before it could be killed: once more from the beginning
    std::filesystem::remove_all(folder_ / "killed");
  }
  EXPECT_EQ(killed, 3);
  const Outcome last = run_cavmae(flags + path("killed"));
  ASSERT_EQ(last.exit_code, 0) << last.err;
  int64_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "whole")) {
    const std::string name = entry.path().filename().string();
    ASSERT_TRUE(std::filesystem::exists(folder_ / "killed" / name)) << name;
    if (!name.ends_with(".tar") && name != "shards.json") continue;  // an index knows its tar's time
    ++files;
    EXPECT_TRUE(testing_support::read_whole(entry.path()) ==
                testing_support::read_whole(folder_ / "killed" / name))
        << name;
  }
  EXPECT_GT(files, 5);
  EXPECT_EQ(count(), files - 1) << "nothing else lies there";
}

TEST_F(PackCommand, WhatOnlyPreparedClipsHaveIsRefusedWithoutThem) {
  for (const char* flag : {"--resize 256", "--window-seconds 5"}) {
    const Outcome outcome = run_cavmae("pack --data . --out " + path("x") + " " + flag);
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_THAT(outcome.err, AllOf(HasSubstr(std::string(flag, 5)), HasSubstr("--frames N")));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "x"));
  }
}

TEST_F(PackCommand, ASizeThatIsNoneIsRefused) {
  const Outcome outcome = run_cavmae("pack --data . --out " + path("x") + " --shard-size big");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("--shard-size"));
}

}  // namespace
}  // namespace cavmae
