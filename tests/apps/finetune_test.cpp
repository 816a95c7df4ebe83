// Fine-tuning as a user goes it, at toy size: a pretrained model, a classifier, a kill, resuming, classes of
// files, numbers, and what is wrong.
#include <filesystem>

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
using testing_support::run_shell;

constexpr const char* kPretraining = R"({
  "epochs": 1,
  "model": {"num_fbank_frames": 96, "num_mel_bins": 32, "image_size": 32, "embed_dim": 32, "num_heads": 2,
            "modality_depth": 1, "decoder_depth": 1, "decoder_embed_dim": 32, "decoder_num_heads": 2},
  "data": {"window_seconds": 1.0, "num_frames": 2},
  "loader": {"batch_size": 4}
})";
constexpr const char* kFinetuning = R"({
  "epochs": 2, "log_interval_steps": 1, "allow_empty_classes": true, "average_from_epoch": 1,
  "targets": {"mixup": 0.5, "label_smoothing": 0.1}, "balanced_sampling": true,
  "view": {"frequency_mask": 8, "time_mask": 16},
  "loader": {"batch_size": 4}, "checkpoint": {"checkpoint_interval_steps": 1}, "schedule": {"lr": 1e-3}
})";

class Finetune : public testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(folder_ / "pretrain.json") << kPretraining;
    std::ofstream(folder_ / "finetune.json") << kFinetuning;
    ASSERT_EQ(run_cavmae("synth --out " + path("clips") + " --clips 12 --seconds 1 --image-size 48 --seed 5")
                  .exit_code,
              0);
    const Outcome outcome =
        run_cavmae("pretrain --config " + path("pretrain.json") + " --data " + path("clips") + " --val " +
                   path("clips") + " --out " + path("init") + " --no-report");
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string finetune(const std::string& out, const std::string& more = "") const {
    return "finetune --config " + path("finetune.json") + " --init " + path("init") + " --data " +
           path("clips") + " --val " + path("clips") + " --out " + path(out) + " " + more;
  }
  std::string model(const std::string& run, const std::string& checkpoint) const {
    return read_whole(folder_ / run / "checkpoints" / checkpoint / "model.safetensors");
  }

  TemporaryFolder folder_;
};

TEST_F(Finetune, FromAPretrainedModelToClassesAndNumbers) {
  Outcome outcome = run_cavmae(finetune("run"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("averaged"), HasSubstr("mAP")));
  EXPECT_THAT(read_whole(folder_ / "run/report.html"),
              AllOf(HasSubstr("Classification"), HasSubstr("</html>")));
  const Json evaluation = read_json(folder_ / "run/evaluation.json");

  outcome = run_cavmae("info " + path("run"));
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("num_classes"), HasSubstr("circle")));

  // The same numbers again.
  outcome = run_cavmae("evaluate --checkpoint " + path("run/checkpoints/averaged") + " --data " +
                       path("clips") + " --classes --json " + path("numbers.json"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json again = read_json(folder_ / "numbers.json").at("classification");
  EXPECT_EQ(again.at("map"), evaluation.at("map"));
  EXPECT_EQ(again.at("classes"), evaluation.at("classes"));

  // A file with both, its audio alone and its video alone.
  ASSERT_EQ(
      run_shell("cd " + path("clips/clips") + " && ffmpeg -nostdin -v error -y -i 000000.mp4 " +
                path("a.wav") + " && ffmpeg -nostdin -v error -y -i 000000.mp4 -frames:v 1 " + path("v.png"))
          .exit_code,
      0);
  outcome =
      run_cavmae("classify " + path("clips/clips/000000.mp4") + " " + path("a.wav") + " " + path("v.png") +
                 " --checkpoint " + path("run") + " --top 3 --json " + path("classes.json"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("audio only"), HasSubstr("video only")));
  const Json classes = read_json(folder_ / "classes.json").at("clips");
  ASSERT_EQ(classes.size(), 3u);
  for (const Json& clip : classes) EXPECT_EQ(clip.at("labels").size(), evaluation.at("classes").size());

  // The pretrained model's numbers are those of its own validation.
  outcome = run_cavmae("evaluate --checkpoint " + path("init") + " --data " + path("clips") + " --json -");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json numbers = parse_json(outcome.out, "evaluate");
  std::ifstream metrics(folder_ / "init/metrics.jsonl");
  Json validation;
  for (std::string line; std::getline(metrics, line);)
    if (const Json record = parse_json(line, "metrics"); record.at("kind") == "validation")
      validation = record;
  for (const char* name :
       {"loss", "loss_audio", "loss_video", "loss_contrastive", "accuracy", "audio_to_video_r1"})
    EXPECT_EQ(numbers.at(name), validation.at(name)) << name;
}

// The head of CAV-MAE Sync, over all of a clip's pictures and the sound beside each.
TEST_F(Finetune, AHeadOverAllPicturesIsTrainedEvaluatedAndAsked) {
  Outcome outcome = run_cavmae(
      "pretrain --config " + path("pretrain.json") + " --data " + path("clips") + " --out " +
      path("aligned") +
      " --no-report --global-tokens --audio-window-frames 48 --alignment picture --no-noise --no-roll");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::string command = "finetune --config " + path("finetune.json") + " --init " + path("aligned") +
                              " --data " + path("clips") + " --val " + path("clips") + " --out " +
                              path("run") + " --head-kind self_attention --frames all";
  outcome = run_cavmae(command);
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("validation_frames is middle"));
  outcome = run_cavmae(command + " --validation-frames all");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  outcome = run_cavmae("evaluate --checkpoint " + path("run/checkpoints/averaged") + " --data " +
                       path("clips") + " --json " + path("numbers.json"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("no modality confusion"));
  const Json numbers = read_json(folder_ / "numbers.json");
  EXPECT_FALSE(numbers.contains("modality_confusion"));
  EXPECT_EQ(numbers.at("classification").at("map"), read_json(folder_ / "run/evaluation.json").at("map"));

  // Sound alone is a clip that it cannot score, and no end of the others.
  ASSERT_EQ(
      run_shell("ffmpeg -nostdin -v error -y -i " + path("clips/clips/000000.mp4") + " " + path("a.wav"))
          .exit_code,
      0);
  outcome = run_cavmae("classify " + path("a.wav") + " " + path("clips/clips/000000.mp4") + " --checkpoint " +
                       path("run") + " --json " + path("classes.json"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("a.wav"));
  EXPECT_EQ(read_json(folder_ / "classes.json").at("clips").size(), 1u);
}

TEST_F(Finetune, KilledOrStoppedRunResumesToTheSameParameters) {
  ASSERT_EQ(run_cavmae(finetune("whole", "--no-report")).exit_code, 0);
  for (const auto& [signal, exit_code] : {std::pair(SIGKILL, 128 + SIGKILL), std::pair(SIGINT, 130)}) {
    const Outcome hit = run_and_signal(
        finetune("stopped", "--no-report"), signal,
        [&](const auto&) { return std::filesystem::exists(folder_ / "stopped/checkpoints/last"); },
        "the first checkpoint", [&] { std::filesystem::remove_all(folder_ / "stopped"); });
    ASSERT_EQ(hit.exit_code, exit_code) << hit.err;
    EXPECT_EQ(hit.ended_by, signal == SIGKILL ? SIGKILL : 0);
    const Outcome resumed = run_cavmae("finetune --resume --no-report --out " + path("stopped"));
    ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
    EXPECT_EQ(model("whole", "last"), model("stopped", "last"));
    EXPECT_EQ(model("whole", "averaged"), model("stopped", "averaged"));
    std::filesystem::remove_all(folder_ / "stopped");
  }
}

TEST_F(Finetune, WorkersDoNotChangeTheResult) {
  ASSERT_EQ(run_cavmae(finetune("one", "--num-workers 1 --no-report")).exit_code, 0);
  ASSERT_EQ(run_cavmae(finetune("three", "--num-workers 3 --no-report")).exit_code, 0);
  EXPECT_EQ(model("one", "last"), model("three", "last"));
}

TEST_F(Finetune, WhatIsWrongIsToldWithItsExitCode) {
  const auto expect = [&](const std::string& arguments, int exit_code, const auto& message) {
    const Outcome outcome = run_cavmae(arguments);
    EXPECT_EQ(outcome.exit_code, exit_code) << arguments;
    EXPECT_THAT(outcome.err, message) << arguments;
    EXPECT_FALSE(std::filesystem::exists(folder_ / "run")) << arguments;
  };
  expect("finetune --data " + path("clips") + " --out " + path("run"), 2, HasSubstr("--init is needed"));
  expect(finetune("run", "--loss ce"), 1, HasSubstr("label"));
  expect(finetune("run", "--best-metric retrieval"), 2, HasSubstr("map, accuracy and loss"));
  std::ofstream(folder_ / "two.csv") << "index,mid,display_name\n0,circle,Circle\n1,square,Square\n";
  expect(finetune("run", "--labels " + path("two.csv")), 1, HasSubstr("two.csv"));
  expect("classify " + path("clips") + " --checkpoint " + path("init"), 1, HasSubstr("holds no classifier"));
  ASSERT_EQ(run_cavmae(finetune("classifier", "--no-report --epochs 1")).exit_code, 0);
  expect("evaluate --data " + path("clips") + " --checkpoint " + path("classifier") + " --labels " +
             path("two.csv"),
         1, AllOf(HasSubstr("2"), HasSubstr("classifier")));
}

}  // namespace
}  // namespace cavmae
