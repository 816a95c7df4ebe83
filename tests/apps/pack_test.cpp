// Shards as a user sees them: packed, trained on, moved.
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/json.h"
#include "cavmae/models/pretrained.h"

#include "tests/support/program.h"

namespace cavmae {
namespace {

using testing::HasSubstr;
using testing_support::Outcome;
using testing_support::run_cavmae;

class PackCommand : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  // 12 steps, and what the network then is.
  CavMae trained_on(const std::string& data, const std::string& out) const {
    const Outcome outcome =
        run_cavmae("pretrain --config tiny --data '" + path(data) + "' --out " + path(out) +
                   " --epochs 6 --batch-size 4 --embed-dim 32 --num-heads 2 --modality-depth 1 "
                   "--decoder-embed-dim 32 --decoder-num-heads 2 --decoder-depth 1 --num-fbank-frames 96 "
                   "--image-size 32 --window-seconds 1 --no-report --quiet");
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return load_pretrained(path(out)).network();
  }

  TemporaryFolder folder_;
};

TEST_F(PackCommand, TrainingOnShardsIsTrainingOnTheFiles) {
  ASSERT_EQ(run_cavmae("synth --out " + path("clips") + " --clips 8 --seconds 2 --image-size 48").exit_code,
            0);
  const Outcome packed = run_cavmae("pack --data " + path("clips") + " --out " + path("shards") +
                                    " --shard-size 100kB --json " + path("p.json"));
  ASSERT_EQ(packed.exit_code, 0) << packed.err;
  EXPECT_THAT(packed.out, HasSubstr("8 clips -> "));
  const Json result = read_json(folder_ / "p.json");
  EXPECT_EQ(result["clips"], 8);
  ASSERT_GT(result["shards"].get<int64_t>(), 1);
  const auto loose = trained_on("clips", "loose")->named_parameters();
  std::filesystem::create_directories(folder_ / "elsewhere");
  std::filesystem::rename(folder_ / "shards", folder_ / "elsewhere/shards");
  const auto on_shards = trained_on("elsewhere/shards", "on_shards")->named_parameters();
  for (const auto& item : loose) EXPECT_TRUE(item.value().equal(on_shards[item.key()])) << item.key();
}

TEST_F(PackCommand, ASizeThatIsNoneIsRefused) {
  const Outcome outcome = run_cavmae("pack --data . --out " + path("x") + " --shard-size big");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("--shard-size"));
}

}  // namespace
}  // namespace cavmae
