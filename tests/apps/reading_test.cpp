// How files are read, as the command line, a run's configuration and its checkpoints say it: EXIF
// orientation, sound tracks and channels.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/files.h"
#include "cavmae/core/json.h"
#include "cavmae/tensorfile/safetensors.h"

#include "tests/support/program.h"
#include "tests/support/tools.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing_support::Outcome;
using testing_support::run_cavmae;
using testing_support::run_shell;

constexpr const char* kTiny = R"({
  "epochs": 1, "log_interval_steps": 1,
  "model": {"num_fbank_frames": 96, "num_mel_bins": 32, "image_size": 32, "embed_dim": 32, "num_heads": 2,
            "modality_depth": 1, "decoder_depth": 1, "decoder_embed_dim": 32, "decoder_num_heads": 2},
  "data": {"window_seconds": 1.0},
  "loader": {"batch_size": 4}
})";

TEST(Reading, EveryCommandThatReadsClipsHasTheFlags) {
  for (const char* command : {"pretrain", "finetune", "retrieve", "classify", "evaluate", "embed", "inpaint",
                              "localize", "report", "ablate"})
    EXPECT_THAT(run_cavmae(std::string(command) + " --help").out,
                AllOf(HasSubstr("--audio-channels"), HasSubstr("--audio-track"), HasSubstr("--no-exif")))
        << command;
  EXPECT_THAT(run_cavmae("stats --help").out,
              AllOf(HasSubstr("--audio-channels"), HasSubstr("--audio-track")));
}

class ReadingRun : public testing::Test {
 protected:
  void SetUp() override {
    CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_ffmpeg(), "ffmpeg");
    write_file(folder_ / "config.json", kTiny);
    const std::string make = "cd " + folder_.path().string() + " && ffmpeg -nostdin -v error -y ";
    ASSERT_EQ(run_cavmae("synth --out " + path("clips") + " --clips 4 --seconds 1 --image-size 48").exit_code,
              0);
    ASSERT_EQ(run_shell(make + "-f lavfi -i 'aevalsrc=0|0.5*sin(3000*t):s=16000:d=2' right.wav").exit_code,
              0);
    ASSERT_EQ(
        run_shell(make +
                  "-f lavfi -i 'aevalsrc=0:s=16000:d=2' -f lavfi -i sine=500:d=2 -map 0 -map 1 -c:a aac "
                  "two.m4a")
            .exit_code,
        0);
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  Outcome train(const std::string& out, const std::string& more) const {
    return run_cavmae("pretrain --config " + path("config.json") + " --data " + path("clips") + " --out " +
                      path(out) + " --no-report " + more);
  }
  Outcome embed(const std::string& run, const std::string& file, const std::string& more = "") const {
    return run_cavmae("embed --checkpoint " + path(run) + " " + path(file) + " --out " +
                      path("e.safetensors") + " " + more);
  }
  torch::Tensor audio_vector() const {
    return read_safetensors(folder_ / "e.safetensors").at("audio").clone();
  }

  TemporaryFolder folder_;
};

TEST_F(ReadingRun, FlagsAreKeptInCheckpointsAndObeyed) {
  ASSERT_EQ(train("plain", "").exit_code, 0);
  ASSERT_EQ(train("mean", "--audio-channels mean --audio-track 0 --no-exif").exit_code, 0);
  const Json plain = read_json(folder_ / "plain/config.json").at("data");
  EXPECT_TRUE(plain.at("exif")) << "new runs obey EXIF";
  EXPECT_TRUE(plain.at("audio_track").is_null());
  const Json kept = parse_json(
      read_safetensors_metadata(folder_ / "mean/checkpoints/last/model.safetensors").at("features"),
      "features");
  EXPECT_FALSE(kept.at("exif"));
  EXPECT_EQ(kept.at("audio_track"), 0);
  EXPECT_EQ(kept.at("audio_channels"), "mean");

  Outcome outcome = embed("plain", "right.wav");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.err + outcome.out, AllOf(HasSubstr("right.wav"), HasSubstr("--audio-channels mean")));
  const torch::Tensor silent = audio_vector();
  outcome = embed("plain", "right.wav", "--audio-channels mean");
  EXPECT_THAT(outcome.err + outcome.out, Not(HasSubstr("silent")));
  EXPECT_FALSE(at::allclose(audio_vector(), silent));
  outcome = embed("mean", "right.wav");
  EXPECT_THAT(outcome.err + outcome.out, Not(HasSubstr("silent"))) << "the checkpoint says mean";

  outcome = embed("plain", "two.m4a");
  EXPECT_THAT(outcome.err + outcome.out, HasSubstr("--audio-track 1"));
  outcome = embed("plain", "two.m4a", "--audio-track 1");
  EXPECT_THAT(outcome.err + outcome.out, Not(HasSubstr("silent")));
  outcome = embed("plain", "two.m4a", "--audio-track 2");
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_THAT(outcome.err + outcome.out, HasSubstr("no track 2"));
}

// A checkpoint of before there was a word for it was trained without.
TEST_F(ReadingRun, OlderCheckpointsAreFedAsTheyWereTrained) {
  ASSERT_EQ(train("run", "").exit_code, 0);
  const auto model = folder_ / "run/checkpoints/last/model.safetensors";
  std::string bytes = read_text(model);
  const std::string word = R"(,\"exif\":true)";
  ASSERT_NE(bytes.find(word), std::string::npos);
  bytes.replace(bytes.find(word), word.size(), std::string(word.size(), ' '));
  write_file(folder_ / "old.safetensors", bytes);
  const Outcome old = embed("old.safetensors", "clips/clips/000000.mp4");
  EXPECT_EQ(old.exit_code, 0) << old.err;
  const std::string said = old.err + old.out;
  const size_t first = said.find("--exif");
  ASSERT_NE(first, std::string::npos) << said;
  EXPECT_EQ(said.find("--exif", first + 1), std::string::npos) << "once: " << said;
  const Outcome now = embed("run", "clips/clips/000000.mp4");
  EXPECT_THAT(now.err + now.out, Not(HasSubstr("--exif")));
  EXPECT_THAT(
      run_cavmae("finetune --init " + path("old.safetensors") + " --config finetune-tiny --print-config").out,
      HasSubstr("\"exif\": true"))
      << "a new run obeys it";
}

}  // namespace
}  // namespace cavmae
