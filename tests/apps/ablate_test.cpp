// Grids of runs, beginnings from other models and inputs of another shape, as a user asks for them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/json.h"

#include "tests/support/background.h"
#include "tests/support/program.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing_support::Outcome;
using testing_support::read_whole;
using testing_support::run_and_signal;
using testing_support::run_cavmae;

constexpr const char* kGridConfig = R"({
  "epochs": 2, "log_interval_steps": 1,
  "model": {"num_fbank_frames": 96, "num_mel_bins": 32, "image_size": 32, "embed_dim": 32, "num_heads": 2,
            "modality_depth": 1, "decoder_depth": 1, "decoder_embed_dim": 32, "decoder_num_heads": 2},
  "data": {"window_seconds": 1.0},
  "loader": {"batch_size": 4},
  "checkpoint": {"checkpoint_interval_steps": 1},
  "schedule": {"lr": 1e-3}
})";

class Ablate : public testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(folder_ / "config.json") << kGridConfig;
    ASSERT_EQ(run_cavmae("synth --out " + path("clips") + " --clips 12 --seconds 1 --image-size 48 --seed 5")
                  .exit_code,
              0);
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string ablate(const std::string& out, const std::string& over) const {
    return "ablate --config " + path("config.json") + " --data " + path("clips") + " --val " + path("clips") +
           " --out " + path(out) + " " + over;
  }

  TemporaryFolder folder_;
};

TEST_F(Ablate, AKilledOrStoppedGridGoesOnToTheSameTable) {
  const std::string over = "--over mask_ratio=0.5,0.75 --over bidirectional=true";
  const Outcome whole = run_cavmae(ablate("whole", over));
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  EXPECT_THAT(whole.out, AllOf(HasSubstr("| mask_ratio | bidirectional |"), HasSubstr("| 0.75 | true |")));
  for (const auto& [signal, exit_code] : {std::pair(SIGKILL, 128 + SIGKILL), std::pair(SIGINT, 130)}) {
    // In the middle of the second cell.
    const auto second = folder_ / "stopped/cells/mask_ratio=0.75,bidirectional=true/run/checkpoints/last";
    const Outcome hit = run_and_signal(
        ablate("stopped", over), signal, [&](const auto&) { return std::filesystem::exists(second); },
        "the second cell's first checkpoint", [&] { std::filesystem::remove_all(folder_ / "stopped"); });
    ASSERT_EQ(hit.exit_code, exit_code) << hit.err;
    EXPECT_EQ(hit.ended_by, signal == SIGKILL ? SIGKILL : 0);
    const Outcome resumed = run_cavmae(ablate("stopped", over) + " --json " + path("table.json"));
    ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
    EXPECT_THAT(resumed.err, HasSubstr("finished before"));
    EXPECT_EQ(read_whole(folder_ / "stopped/table.md"), read_whole(folder_ / "whole/table.md"));
    EXPECT_EQ(read_json(folder_ / "table.json").size(), 2U);
    std::filesystem::remove_all(folder_ / "stopped");
  }
}

TEST_F(Ablate, WhatCannotBeComparedIsAnError) {
  const Outcome outcome = run_cavmae(ablate("grid", "--over mask_ratoi=0.5"));
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("mask_ratoi"), HasSubstr("did you mean 'mask_ratio'")));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "grid"));
}

TEST_F(Ablate, PositionsAreFittedWhereTheInputsChange) {
  const std::string pretrain =
      "pretrain --config " + path("config.json") + " --data " + path("clips") + " --no-report --out ";
  ASSERT_EQ(run_cavmae(pretrain + path("first")).exit_code, 0);
  const std::string longer = " --num-fbank-frames 64 --window-seconds 0.6 --image-size 48";
  Outcome outcome = run_cavmae(pretrain + path("second") + " --init " + path("first") + longer);
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("'pos_embed_a'"), HasSubstr("--resize-positions")));
  outcome =
      run_cavmae(pretrain + path("second") + " --init " + path("first") + " --resize-positions" + longer);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::string retrieve = "retrieve --checkpoint " + path("first") + " --data " + path("clips") + longer;
  EXPECT_EQ(run_cavmae(retrieve).exit_code, 1);
  outcome = run_cavmae(retrieve + " --resize-positions");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("12 clips"));
}

}  // namespace
}  // namespace cavmae
