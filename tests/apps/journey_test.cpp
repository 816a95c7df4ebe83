// The whole way as a user goes it, at toy size: clips, training, a stop, resuming, retrieval, embeddings,
// report.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/json.h"
#include "cavmae/tensorfile/safetensors.h"

#include "tests/support/background.h"
#include "tests/support/program.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing_support::Outcome;
using testing_support::read_whole;
using testing_support::run_and_signal;
using testing_support::run_cavmae;

// A network small enough for a test.
constexpr const char* kConfig = R"({
  "epochs": 2, "log_interval_steps": 1,
  "model": {"num_fbank_frames": 96, "num_mel_bins": 32, "image_size": 32, "embed_dim": 32, "num_heads": 2,
            "modality_depth": 1, "decoder_depth": 1, "decoder_embed_dim": 32, "decoder_num_heads": 2},
  "data": {"window_seconds": 1.0},
  "loader": {"batch_size": 4},
  "checkpoint": {"checkpoint_interval_steps": 1},
  "schedule": {"lr": 1e-3}
})";

class Journey : public testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(folder_ / "config.json") << kConfig;
    ASSERT_EQ(run_cavmae("synth --out " + path("clips") + " --clips 12 --seconds 1 --image-size 48 --seed 5")
                  .exit_code,
              0);
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string pretrain(const std::string& out, const std::string& more = "") const {
    return "pretrain --config " + path("config.json") + " --data " + path("clips") + " --out '" + path(out) +
           "' --no-report " + more;
  }
  // A run that gets `signal` in the middle, as soon as a checkpoint is there.
  Outcome pretrain_until(int signal, const std::string& out) const {
    return run_and_signal(
        pretrain(out), signal,
        [&](const auto&) { return std::filesystem::exists(folder_ / out / "checkpoints" / "last"); },
        "the first checkpoint", [&] { std::filesystem::remove_all(folder_ / out); });
  }
  // The bytes of every tensor of a run's last checkpoint.
  std::string last_model(const std::string& out) const {
    return read_whole(folder_ / out / "checkpoints" / "last" / "model.safetensors");
  }

  TemporaryFolder folder_;
};

TEST_F(Journey, ClipsToReport) {
  Outcome outcome =
      run_cavmae("pretrain --config " + path("config.json") + " --data " + path("clips") + " --val " +
                 path("clips") + " --out " + path("run") + " --cache " + path("cache"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(std::filesystem::exists(folder_ / "run/metrics.jsonl"));
  EXPECT_THAT(read_whole(folder_ / "run/report.html"), HasSubstr("</html>"));

  outcome = run_cavmae("retrieve --checkpoint " + path("run") + " --data " + path("clips") + " --json " +
                       path("r.json"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("audio -> video"));
  const Json result = read_json(folder_ / "r.json");
  EXPECT_EQ(result["clips"], 12);
  EXPECT_DOUBLE_EQ(result["chance_r1"].get<double>(), 1.0 / 12);

  outcome = run_cavmae("embed --checkpoint " + path("run") + " --data " + path("clips") + " --out " +
                       path("e.safetensors"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const TensorFile embeddings = read_safetensors(folder_ / "e.safetensors");
  EXPECT_EQ(embeddings.at("audio").sizes(), (std::vector<int64_t>{12, 32}));
  EXPECT_EQ(embeddings.at("video").sizes(), (std::vector<int64_t>{12, 32}));

  const std::string clip = path("clips") + "/clips/000003.mp4 --checkpoint " + path("run");
  outcome =
      run_cavmae("inpaint " + clip + " --hide video --out " + path("i.png") + " --json " + path("i.json"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json inpainted = read_json(folder_ / "i.json");
  EXPECT_TRUE(inpainted["normalized_targets"]) << "as the run was trained";
  EXPECT_EQ(inpainted["mask"]["mask_ratio_video"], 1.0);
  EXPECT_EQ(inpainted["mask"]["mask_ratio_audio"], 0.0);
  EXPECT_GT(inpainted["mean_squared_error_video"], 0.0);
  EXPECT_TRUE(inpainted["mean_squared_error_audio"].is_null()) << "nothing of it was hidden";
  EXPECT_GT(std::filesystem::file_size(folder_ / "i.png"), 1000u);

  outcome =
      run_cavmae("localize " + clip + " --frames all --out " + path("l.png") + " --json " + path("l.json"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json localized = read_json(folder_ / "l.json");
  EXPECT_EQ(localized["video"].size(), 10u);
  EXPECT_EQ(localized["video"][0]["patches"].size(), 2u);
  EXPECT_EQ(localized["audio"]["patches"][0].size(), 6u);
  EXPECT_GT(std::filesystem::file_size(folder_ / "l.png"), 1000u);

  outcome = run_cavmae("inpaint " + clip + " --hide video --mask-ratio-audio 1 --out " + path("x.png"));
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("everything is hidden"));
  outcome = run_cavmae("inpaint " + clip + " --hide video --mask-ratio-video 0.5 --out " + path("x.png"));
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("contradicts"));
  outcome =
      run_cavmae("localize " + path("clips") + " --checkpoint " + path("run") + " --out " + path("x.png"));
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("12 clips"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "x.png"));

  outcome = run_cavmae("convert " + path("run") + " " + path("model.pth"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  outcome = run_cavmae("info " + path("run"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("parameters"));
  outcome = run_cavmae("info " + path("e.safetensors"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("embeddings"), HasSubstr("12 vectors of 32 numbers")));

  outcome = run_cavmae("pretrain --config " + path("config.json") + " --data " + path("clips") + " --out " +
                       path("run"));
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("--resume"));
}

TEST_F(Journey, KilledRunResumesToTheSameParameters) {
  ASSERT_EQ(run_cavmae(pretrain("whole")).exit_code, 0);
  ASSERT_EQ(pretrain_until(SIGKILL, "killed").exit_code, 128 + SIGKILL);
  const Outcome resumed = run_cavmae("pretrain --resume --no-report --out " + path("killed"));
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(last_model("whole"), last_model("killed"));
}

TEST_F(Journey, StoppedRunSavesAndResumesToTheSameParameters) {
  ASSERT_EQ(run_cavmae(pretrain("whole")).exit_code, 0);
  for (const int signal : {SIGTERM, SIGINT}) {
    const std::string out = "stopped by " + std::to_string(signal);
    const Outcome stopped = pretrain_until(signal, out);
    ASSERT_EQ(stopped.exit_code, 130) << stopped.err;
    EXPECT_EQ(stopped.ended_by, 0) << "it leaves by itself";
    EXPECT_THAT(stopped.out, HasSubstr("--resume"));
    const Outcome resumed = run_cavmae("pretrain --resume --no-report --out '" + path(out) + "'");
    ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
    EXPECT_EQ(last_model("whole"), last_model(out)) << out;
  }
}

TEST_F(Journey, StoppedEvaluationSaysSoByItsExitCode) {
  ASSERT_EQ(run_cavmae(pretrain("run", "--epochs 1")).exit_code, 0);
  const Outcome stopped = run_and_signal(
      "evaluate --batch-size 1 --checkpoint " + path("run") + " --data " + path("clips"), SIGINT,
      [](const auto& program) { return program.catches(SIGINT); }, "the measuring", [] {});
  EXPECT_EQ(stopped.exit_code, 130) << stopped.err;
  EXPECT_EQ(stopped.ended_by, 0) << "it leaves by itself";
  EXPECT_THAT(stopped.out, Not(HasSubstr("R@1")));
}

TEST_F(Journey, StoppedGeneratorGoesOn) {
  const std::string clips =
      "synth --out " + path("more") + " --clips 40 --seconds 1 --image-size 48 --workers 1";
  const Outcome stopped = run_and_signal(
      clips, SIGINT, [](const auto& program) { return program.catches(SIGINT); }, "the making",
      [&] { std::filesystem::remove_all(folder_ / "more"); });
  EXPECT_EQ(stopped.exit_code, 1) << stopped.err;
  EXPECT_EQ(stopped.ended_by, 0) << "it leaves by itself";
  EXPECT_THAT(stopped.err, HasSubstr("the same command goes on from there"));
  EXPECT_EQ(run_cavmae(clips).exit_code, 0);
}

TEST_F(Journey, WorkersDoNotChangeTheResult) {
  ASSERT_EQ(run_cavmae(pretrain("one", "--num-workers 1")).exit_code, 0);
  ASSERT_EQ(run_cavmae(pretrain("three", "--num-workers 3")).exit_code, 0);
  const TensorFile one = read_safetensors(folder_ / "one/checkpoints/last/model.safetensors");
  const TensorFile three = read_safetensors(folder_ / "three/checkpoints/last/model.safetensors");
  for (const auto& [name, tensor] : one.tensors) EXPECT_TRUE(torch::equal(tensor, three.at(name))) << name;
}

TEST_F(Journey, BadClipsAreNamedAndSkipped) {
  std::ofstream(folder_ / "clips/text.mp4") << "this is not a video";
  std::ofstream(folder_ / "clips/empty.mp4");
  std::filesystem::remove(folder_ / "clips/manifest.jsonl");
  const Outcome outcome = run_cavmae(pretrain("run", "--max-bad-ratio 0.5"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("2 clips"), HasSubstr("text"), HasSubstr("empty")));
}

TEST_F(Journey, ClipsThatDifferFromTheFolderAreRefused) {
  const Outcome outcome =
      run_cavmae("synth --out " + path("clips") + " --clips 12 --seconds 1 --image-size 48 --seed 6");
  EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("seed"));
}

}  // namespace
}  // namespace cavmae
