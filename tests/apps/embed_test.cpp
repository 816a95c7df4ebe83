// cavmae embed of many clips into a folder of parts.
#include <filesystem>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/json.h"

#include "tests/support/background.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;
using testing_support::Background;
using testing_support::Outcome;
using testing_support::read_whole;
using testing_support::run_cavmae;

class EmbedCommand : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  int64_t num_parts(const std::string& out) const {
    int64_t parts = 0;
    std::error_code none;
    for (fs::directory_iterator it(folder_ / out, none), end; !none && it != end; it.increment(none))
      parts += it->path().extension() == ".safetensors" ? 1 : 0;
    return parts;
  }
  TemporaryFolder folder_;
};

// Killed again and again, it ends with the bytes of a job that nothing disturbed.
TEST_F(EmbedCommand, IsKilledAndGoesOn) {
  constexpr int kFiles = 6, kClips = 120, kPartClips = 10;
  ASSERT_EQ(run_cavmae("synth --out " + path("clips") + " --clips 6 --seconds 1 --image-size 32").exit_code,
            0);
  std::ofstream list(folder_ / "list.jsonl");
  for (int i = 0; i < kClips; ++i)
    list << R"({"id": "clip )" << i << R"(", "path": "clips/clips/00000)" << i % kFiles << ".mp4\"}\n";
  list.close();
  Outcome outcome = run_cavmae(
      "pretrain --config tiny --data " + path("clips") + " --out " + path("run") +
      " --epochs 1 --batch-size 6 --embed-dim 32 --num-heads 2 --modality-depth 1 --decoder-embed-dim 32 "
      "--decoder-num-heads 2 --decoder-depth 1 --num-fbank-frames 96 --image-size 32 --window-seconds 1 "
      "--no-report --quiet");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::string embed = "embed --checkpoint " + path("run") + " --data " + path("list.jsonl") +
                            " --part-clips " + std::to_string(kPartClips) + " --quiet --out ";
  outcome = run_cavmae(embed + path("whole"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  ASSERT_EQ(num_parts("whole"), kClips / kPartClips);
  int killed = 0;
  for (int tries = 0; killed < 3 && tries < 20; ++tries) {
    // The first is killed as soon as it has begun anything.
    const int64_t before = num_parts("killed");
    const auto has_gone_on = [&] {
      return killed == 0 ? fs::exists(folder_ / "killed/index.json") : num_parts("killed") > before;
    };
    Background program(embed + path("killed"));
    ASSERT_TRUE(testing_support::wait_until([&] { return has_gone_on() || !program.running(); }, 120,
                                            "another part"));
    program.send(SIGKILL);
    const Outcome ended = program.wait();
    if (ended.ended_by == SIGKILL) {
      ++killed;
      continue;
    }
    ASSERT_EQ(ended.exit_code, 0) << ended.err;
    killed = 0;  // it was done before it could be killed: once more from the beginning
    fs::remove_all(folder_ / "killed");
  }
  ASSERT_EQ(killed, 3);
  outcome = run_cavmae(embed + path("killed"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  for (const auto& entry : fs::directory_iterator(folder_ / "whole")) {
    const std::string name = entry.path().filename().string();
    EXPECT_TRUE(read_whole(entry.path()) == read_whole(folder_ / "killed" / name)) << name;
  }
  EXPECT_EQ(num_parts("killed"), num_parts("whole"));
}

}  // namespace
}  // namespace cavmae
