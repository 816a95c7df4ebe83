// A network whose sound is by segments, one a picture, with global tokens and registers, through the commands
// that use a network: trained once at toy size.
#include <filesystem>
#include <fstream>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/json.h"
#include "cavmae/tensorfile/safetensors.h"

#include "tests/data/toy_media.h"
#include "tests/support/program.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing_support::Outcome;
using testing_support::read_whole;
using testing_support::run_cavmae;

constexpr const char* kShrunk =
    " --config tiny-sync --epochs 1 --batch-size 6 --embed-dim 32 --num-heads 2 --modality-depth 1 --decoder-depth 1"
    " --decoder-embed-dim 32 --decoder-num-heads 2 --num-fbank-frames 96 --num-mel-bins 32 --image-size 32"
    " --window-seconds 1 --num-frames 4 --audio-window-frames 64 --registers 2 --warmup-steps 1 --quiet";

class AlignedNetwork : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder();
    expect_success("synth --scenes events --out " + path("clips") +
                   " --clips 12 --seconds 1 --image-size 48 --quiet");
    expect_success("pretrain" + std::string(kShrunk) + " --data " + path("clips") + " --out " + path("run"));
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }

  static std::string path(const std::string& name) { return (*folder_ / name).string(); }
  static Outcome expect_success(const std::string& command) {
    Outcome outcome = run_cavmae(command);
    EXPECT_EQ(outcome.exit_code, 0) << command << "\n" << outcome.err;
    return outcome;
  }
  static Json result_of(const std::string& command) {
    expect_success(command + " --json " + path("result.json"));
    return read_json(*folder_ / "result.json");
  }

  static TemporaryFolder* folder_;
};
TemporaryFolder* AlignedNetwork::folder_ = nullptr;

TEST_F(AlignedNetwork, InfoNamesItsTokensAndSegments) {
  const Json info = result_of("info " + path("run"));
  EXPECT_EQ(info["model"]["global_tokens"], true);
  EXPECT_EQ(info["model"]["registers"], 2);
  EXPECT_EQ(info["model"]["audio_window_frames"], 64);
  EXPECT_EQ(info["features"]["alignment"], "picture");
  EXPECT_EQ(info["features"]["num_frames"], 4);
}

TEST_F(AlignedNetwork, RetrievesByEachScore) {
  const std::string retrieve =
      "retrieve --checkpoint " + path("run") + " --data " + path("clips") + " --quiet";
  const Json of_itself = result_of(retrieve);
  EXPECT_EQ(of_itself["score"], "diagonal-mean") << "as its results are published";
  std::set<std::string> ranks;
  for (const std::string score : {"mean", "diagonal-mean", "diagonal-max", "max"}) {
    const Json result = result_of(retrieve + " --score " + score);
    EXPECT_EQ(result["score"], score);
    EXPECT_EQ(result["clips"], 12);
    EXPECT_EQ(result["audio_to_video"] == of_itself["audio_to_video"] || score != "diagonal-mean", true);
    ranks.insert(result["audio_to_video"].dump() + result["video_to_audio"].dump());
  }
  EXPECT_GE(ranks.size(), 3u) << "each score is another comparison";
}

// The recipes of fine-tuning roll the sound and add noise, which such a network was not trained with.
TEST_F(AlignedNetwork, FineTuningLeavesTheSoundInItsPlace) {
  const std::string finetune =
      "finetune --init " + path("run") + " --data " + path("clips") + " --out " + path("tuned");
  for (const std::string recipe : {"", " --config finetune-vggsound"}) {
    const Json view = parse_json(expect_success(finetune + recipe + " --print-config").out, "config")["view"];
    EXPECT_EQ(view["roll"], false) << recipe;
    EXPECT_EQ(view["noise"], false) << recipe;
    EXPECT_EQ(view["time_mask"], 192) << recipe;
  }
  const Json view = parse_json(expect_success(finetune + " --noise --print-config").out, "config")["view"];
  EXPECT_EQ(view["noise"], true);
  const Outcome outcome = run_cavmae(finetune + " --roll --print-config");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("give --roll false"));
}

// What is measured on one picture alone says so.
TEST_F(AlignedNetwork, EvaluationAndReportNameThePictureThatTheyTake) {
  const Outcome outcome = expect_success("evaluate --checkpoint " + path("run") + " --data " + path("clips"));
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("middle picture and the sound around it"),
                                 HasSubstr("'cavmae retrieve' compares all 4 pictures")));
  EXPECT_THAT(read_whole(*folder_ / "run/report.html"),
              AllOf(HasSubstr("compare one vector a clip, that of its middle picture"),
                    HasSubstr("compares all 4 pictures")));
}

TEST_F(AlignedNetwork, EmbedsEachPicture) {
  const std::string embed =
      "embed --checkpoint " + path("run") + " --data " + path("clips") + " --quiet --out ";
  expect_success(embed + path("each.safetensors") + " --per-frame");
  expect_success(embed + path("mean.safetensors") + " --frames all");
  const TensorFile each = read_safetensors(*folder_ / "each.safetensors");
  const TensorFile mean = read_safetensors(*folder_ / "mean.safetensors");
  for (const char* side : {"audio", "video"}) {
    ASSERT_EQ(each.at(side).sizes(), (std::vector<int64_t>{12, 4, 32}));
    EXPECT_TRUE(each.at(side).mean(1).allclose(mean.at(side), 1e-4, 1e-5)) << side;
    EXPECT_FALSE(each.at(side)[0][0].allclose(each.at(side)[0][3], 1e-4, 1e-5)) << side;
  }
}

TEST_F(AlignedNetwork, LocalizesEachPictureInTheSoundAroundIt) {
  const std::string clip = path("clips") + "/clips/000003.mp4 --checkpoint " + path("run");
  const Json found = result_of("localize " + clip + " --frames all --out " + path("l.png"));
  ASSERT_EQ(found["video"].size(), 4u);
  ASSERT_EQ(found["audio"].size(), 4u);
  EXPECT_EQ(found["video"][0]["patches"].size(), 2u);
  EXPECT_EQ(found["audio"][0]["patches"].size(), 2u);     // of 32 mel bins
  EXPECT_EQ(found["audio"][0]["patches"][0].size(), 4u);  // of a segment of 64 frames
  EXPECT_GT(std::filesystem::file_size(*folder_ / "l.png"), 1000u);
}

TEST_F(AlignedNetwork, InpaintsAPictureFromItsSound) {
  const std::string clip = path("clips") + "/clips/000003.mp4 --checkpoint " + path("run");
  const Json made = result_of("inpaint " + clip + " --hide video --out " + path("i.png"));
  EXPECT_EQ(made["mask"]["mask_ratio_video"], 1.0);
  EXPECT_GT(made["mean_squared_error_video"], 0.0);
  EXPECT_GT(std::filesystem::file_size(*folder_ / "i.png"), 1000u);
}

TEST_F(AlignedNetwork, BeginsAnotherRunAlsoFromItsPth) {
  expect_success("convert " + path("run") + " " + path("model.pth"));
  const Json info = result_of("info " + path("model.pth"));
  EXPECT_EQ(info["model"]["audio_window_frames"], 64);
  EXPECT_TRUE(info["assumed"].empty()) << "model.pth.json says it";
  for (const std::string from : {"run", "model.pth"}) {
    const Outcome outcome =
        expect_success("pretrain" + std::string(kShrunk) + " --no-report --init " + path(from) + " --data " +
                       path("clips") + " --out " + path("again_" + from));
    const std::string log = read_whole(*folder_ / ("again_" + from) / "run.log");
    EXPECT_THAT(log, AllOf(HasSubstr("beginning from"), Not(HasSubstr("left at their initial values")),
                           Not(HasSubstr("of no use"))))
        << from;
  }
}

TEST_F(AlignedNetwork, FindsAShortSoundByItself) {
  std::filesystem::create_directories(*folder_ / "sounds");
  write_wav(*folder_ / "sounds/hum.wav", 0.3, 120);
  write_wav(*folder_ / "sounds/beep.wav", 0.3, 2000);
  expect_success("index " + path("library") + " --quiet --data " + path("sounds") + " --data " +
                 path("clips") + " --checkpoint " + path("run"));
  for (const std::string name : {"hum.wav", "beep.wav"}) {
    const Json json =
        result_of("search " + path("library") + " --for audio --audio " + path("sounds/" + name));
    ASSERT_FALSE(json["results"].empty());
    EXPECT_EQ(json["results"][0]["path"], path("sounds/" + name));
    EXPECT_NEAR(json["results"][0]["moments"][0]["similarity"].get<double>(), 1.0, 1e-4) << name;
  }
}

}  // namespace
}  // namespace cavmae
