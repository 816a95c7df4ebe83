// Every window of a long file, and sides that are lost, as a user sees them.
#include <cmath>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/json.h"
#include "cavmae/eval/embed_file.h"

#include "tests/data/toy_media.h"
#include "tests/support/program.h"
#include "tests/support/tools.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::Outcome;
using testing_support::run_cavmae;

constexpr const char* kWindowedRun = R"({
  "epochs": 1,
  "model": {"num_fbank_frames": 96, "num_mel_bins": 32, "image_size": 32, "embed_dim": 32, "num_heads": 2,
            "modality_depth": 1, "decoder_depth": 1, "decoder_embed_dim": 32, "decoder_num_heads": 2},
  "data": {"window_seconds": 1.0, "num_frames": 4},
  "loader": {"batch_size": 4}
})";

class WindowCommands : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder();
    std::ofstream(*folder_ / "pretrain.json") << kWindowedRun;
    ASSERT_EQ(run_cavmae("synth --out " + path("clips") + " --clips 4 --seconds 1 --image-size 48").exit_code,
              0);
    const Outcome outcome = run_cavmae("pretrain --config " + path("pretrain.json") + " --data " +
                                       path("clips") + " --out " + path("run") + " --no-report");
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    std::filesystem::create_directories(*folder_ / "long");
    write_video(*folder_ / "long/a.mkv", 4, "-c:v libx264 -g 20 -c:a pcm_s16le",
                "sine=f=300:beep_factor=4:r=44100");
    write_video(*folder_ / "long/b.mp4", 0.8);
  }
  static void TearDownTestSuite() { delete folder_; }

  static std::string path(const std::string& name) { return (*folder_ / name).string(); }
  static Outcome embed(const std::string& what, const std::string& out) {
    return run_cavmae("embed --checkpoint " + path("run") + " --out " + path(out) + " " + what);
  }
  static StoredEmbeddings stored(const std::string& name) { return read_embeddings(*folder_ / name); }

  static TemporaryFolder* folder_;
};
TemporaryFolder* WindowCommands::folder_ = nullptr;

TEST_F(WindowCommands, EmbedMakesARowOfEveryWindowThatEqualsThePinnedOne) {
  Outcome outcome = embed("--data " + path("long") + " --windows all --hop 1.25", "all.safetensors");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("5 windows of 2 files"));
  const StoredEmbeddings all = stored("all.safetensors");
  EXPECT_THAT(all.ids, ElementsAre("a@0.000", "a@1.250", "a@2.500", "a@3.000", "b@0.000"));
  ASSERT_EQ(all.places.size(), 5u);
  EXPECT_EQ(all.places[2].file, "a");
  EXPECT_EQ(all.places[2].start_seconds, 2.5);
  for (const int64_t row : {1, 3}) {
    const double start = all.places[static_cast<size_t>(row)].start_seconds;
    outcome = embed(path("long/a.mkv") + " --window-start " + std::to_string(start), "one.safetensors");
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    const StoredEmbeddings one = stored("one.safetensors");
    EXPECT_TRUE(one.places.empty());
    EXPECT_TRUE(at::allclose(one.audio[0], all.audio[row], 1e-4, 1e-5)) << start;
    EXPECT_TRUE(at::allclose(one.video[0], all.video[row], 1e-4, 1e-5)) << start;
  }
  ASSERT_EQ(embed(path("long/a.mkv") + " --windows 2", "two.safetensors").exit_code, 0);
  EXPECT_THAT(stored("two.safetensors").ids, ElementsAre("a@0.000", "a@3.000"));
}

TEST_F(WindowCommands, RetrieveAndStatsTakeThem) {
  Outcome outcome = run_cavmae("retrieve --checkpoint " + path("run") + " --data " + path("long") +
                               " --windows all --json " + path("r.json"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json retrieval = read_json(*folder_ / "r.json");
  EXPECT_EQ(retrieval["clips"], 8);
  EXPECT_EQ(retrieval["files"], 2);
  // Seven windows half a window apart: each has one or two beside it that do not count.
  EXPECT_NEAR(retrieval["chance_r1"].get<double>(), (2.0 / 7 + 5.0 / 6 + 1.0 / 8) / 8, 1e-9);
  const std::string stats = "stats --window-seconds 1 --num-fbank-frames 96 --num-mel-bins 32 --data " +
                            path("long") + " --json " + path("s.json");
  outcome = run_cavmae(stats + " --windows all");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("over 8 windows"));
  EXPECT_EQ(read_json(*folder_ / "s.json")["clips"], 8);
}

TEST_F(WindowCommands, ClassifyPrintsATimeline) {
  const Outcome trained =
      run_cavmae("finetune --init " + path("run") + " --data " + path("clips") + " --val " + path("clips") +
                 " --out " + path("classifier") +
                 " --epochs 1 --batch-size 4 --allow-empty-classes --no-report" + " --average-from-epoch 1");
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  const std::string classify = "classify " + path("long/a.mkv") + " " + path("long/b.mp4") +
                               " --checkpoint " + path("classifier") + " --windows all --top 2";
  Outcome outcome = run_cavmae(classify + " --json " + path("c.json"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, testing::MatchesRegex("a\n(.|\n)*  0:00:02.500  0.*b\n  0:00:00.000  0(.|\n)*"));
  const Json clips = read_json(*folder_ / "c.json")["clips"];
  ASSERT_EQ(clips.size(), 8u);
  EXPECT_EQ(clips[5]["id"], "a@2.500");
  EXPECT_EQ(clips[5]["file"], "a");
  EXPECT_EQ(clips[5]["start_seconds"], 2.5);
  EXPECT_EQ(clips[7]["file"], "b");
  outcome = run_cavmae(classify + " --json -");
  EXPECT_EQ(Json::parse(outcome.out)["clips"], clips);
}

TEST_F(WindowCommands, FlagsThatDoNotFitAreRefused) {
  const std::string data = path("long/a.mkv");
  for (const char* flags : {"--windows some", "--windows 0", "--windows -3", "--windows all --hop 0",
                            "--hop 1", "--windows 3 --hop 1", "--windows all --window-start 1"}) {
    const Outcome outcome = embed(data + " " + flags, "none.safetensors");
    EXPECT_EQ(outcome.exit_code, 2) << flags << "\n" << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("window")) << flags;
  }
  EXPECT_FALSE(std::filesystem::exists(*folder_ / "none.safetensors"));
}

// A WAV of floats that are no numbers beside a sound picture; and what tells the reader about it.
TEST_F(WindowCommands, ALostSideIsNamedAndCounts) {
  const std::filesystem::path broken = *folder_ / "broken.mkv";
  write_video(*folder_ / "sound.mkv", 1.5, "-c:v mpeg4 -c:a pcm_f32le", "aevalsrc=0/0:s=16000");
  std::filesystem::rename(*folder_ / "sound.mkv", broken);
  Outcome outcome = embed(broken.string(), "lost.safetensors");
  EXPECT_EQ(outcome.exit_code, 1) << outcome.err;
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("broken (its audio): "), HasSubstr("not finite")));
  outcome = embed(broken.string() + " --max-bad-ratio 1", "lost.safetensors");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const StoredEmbeddings lost = stored("lost.safetensors");
  ASSERT_EQ(lost.failed.size(), 1u);
  EXPECT_EQ(lost.failed[0].side, ClipSide::audio);
  EXPECT_TRUE(lost.audio.isnan().all().item<bool>());
  EXPECT_TRUE(lost.video.isfinite().all().item<bool>());
}

}  // namespace
}  // namespace cavmae
