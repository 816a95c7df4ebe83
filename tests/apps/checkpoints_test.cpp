// What every command does with checkpoints that are not whole or do not say how they were trained.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/json.h"
#include "cavmae/tensorfile/pth.h"
#include "cavmae/tensorfile/safetensors.h"

#include "tests/support/program.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing_support::Outcome;
using testing_support::run_cavmae;

constexpr const char* kCheckpointRun = R"({
  "epochs": 1,
  "model": {"num_fbank_frames": 96, "num_mel_bins": 32, "image_size": 32, "embed_dim": 32, "num_heads": 4,
            "modality_depth": 2, "decoder_depth": 1, "decoder_embed_dim": 32, "decoder_num_heads": 2},
  "data": {"window_seconds": 1.0, "fbank_mean": -3.5, "fbank_std": 2.5},
  "loader": {"batch_size": 4},
  "schedule": {"lr": 1e-3}
})";
constexpr const char* kSaid = " --num-heads 4 --fbank-mean -3.5 --fbank-std 2.5 --window-seconds 1";

// One run for all tests.
class Checkpoints : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TemporaryFolder>();
    std::ofstream(*folder_ / "config.json") << kCheckpointRun;
    expect_success("synth --out " + path("clips") + " --clips 8 --seconds 1 --image-size 48 --seed 5");
    expect_success("pretrain --config " + path("config.json") + " --data " + path("clips") + " --out " +
                   path("run") + " --no-report");
    expect_success("convert " + path("run") + " " + path("described.pth"));
    std::filesystem::copy_file(path("described.pth"), path("m.pth"));
    NamedTensors renamed = read_pth(path("m.pth"));
    for (auto& [name, tensor] : renamed)
      if (const size_t at = name.find("blocks_a."); at != std::string::npos)
        name.replace(at, 8, "audio_blocks");
    write_pth(path("renamed.pth"), renamed);
    std::filesystem::copy_file(path("described.pth.json"), path("renamed.pth.json"));
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static std::string path(const std::string& name) { return (*folder_ / name).string(); }
  static std::string clip() { return path("clips") + "/clips/000003.mp4"; }
  static void expect_success(const std::string& arguments) {
    const Outcome outcome = run_cavmae(arguments);
    ASSERT_EQ(outcome.exit_code, 0) << arguments << "\n" << outcome.err;
  }
  // Every command that takes a checkpoint, with this one.
  static std::vector<std::string> commands(const std::string& checkpoint) {
    const std::string flag = " --checkpoint " + path(checkpoint), data = " --data " + path("clips");
    return {"embed " + clip() + flag + " --out " + path("x.safetensors"),
            "retrieve" + flag + data,
            "evaluate" + flag + data,
            "classify " + clip() + flag,
            "localize " + clip() + flag + " --out " + path("x.png"),
            "inpaint " + clip() + flag + " --out " + path("x.png"),
            "info " + path(checkpoint),
            "convert " + path(checkpoint) + " " + path("y.safetensors"),
            "finetune --config finetune-tiny --batch-size 4 --init " + path(checkpoint) + data + " --out " +
                path("classifier-of-" + checkpoint)};
  }
  static TensorFile embedded(const std::string& checkpoint, const std::string& flags = "") {
    expect_success("embed --data " + path("clips") + " --checkpoint " + path(checkpoint) + " --out " +
                   path("e.safetensors") + flags);
    return read_safetensors(path("e.safetensors"));
  }
  static void expect_same_vectors(const TensorFile& a, const TensorFile& b) {
    for (const char* name : {"audio", "video"}) EXPECT_TRUE(a.at(name).equal(b.at(name))) << name;
  }

  static inline std::unique_ptr<TemporaryFolder> folder_;
};

TEST_F(Checkpoints, ARunsPthEmbedsToTheRunsOwnVectors) {
  const TensorFile own = embedded("run");
  expect_same_vectors(embedded("described.pth"), own);
  expect_same_vectors(embedded("m.pth", kSaid), own);
  expect_success("convert " + path("described.pth") + " " + path("back.safetensors"));
  expect_same_vectors(embedded("back.safetensors"), own);
  // In Python it may get a prefix and other company; the description stays beside it.
  NamedTensors compiled = read_pth(path("m.pth"));
  for (auto& [name, tensor] : compiled) name.replace(0, std::string("module.").size(), "_orig_mod.model.");
  write_pth(path("compiled.pth"), compiled);
  std::filesystem::copy_file(path("described.pth.json"), path("compiled.pth.json"));
  expect_same_vectors(embedded("compiled.pth"), own);
}

TEST_F(Checkpoints, WithoutItsDescriptionEveryCommandSaysWhichFlagsToGive) {
  for (const std::string& command : commands("m.pth")) {
    const Outcome outcome = run_cavmae(command);
    EXPECT_EQ(outcome.exit_code, 2) << command << "\n" << outcome.err;
    EXPECT_THAT(outcome.err, AllOf(HasSubstr("m.pth"), HasSubstr("--num-heads N"))) << command;
    if (command.starts_with("convert")) continue;  // it need not know what the network is fed
    EXPECT_THAT(outcome.err, HasSubstr("--fbank-mean X --fbank-std X --window-seconds SECONDS")) << command;
  }
  for (const std::string& command : commands("m.pth")) {
    if (command.starts_with("classify")) continue;  // it is none
    const bool decoder =
        command.starts_with("evaluate") || command.starts_with("in") || command.starts_with("convert");
    const Outcome outcome = run_cavmae(command + kSaid + (decoder ? " --decoder-num-heads 2" : "") +
                                       (command.starts_with("finetune") ? " --epochs 1 --no-report" : ""));
    EXPECT_EQ(outcome.exit_code, 0) << command << "\n" << outcome.err;
  }
}

TEST_F(Checkpoints, LayersUnderOtherNamesAreRefusedByEveryCommand) {
  for (const std::string& command : commands("renamed.pth")) {
    const Outcome outcome = run_cavmae(command);
    EXPECT_EQ(outcome.exit_code, 1) << command << "\n" << outcome.err;
    EXPECT_THAT(outcome.err, AllOf(HasSubstr("renamed.pth"), HasSubstr("blocks_a.*.attn.qkv.weight (2)")));
    if (command.starts_with("convert")) continue;  // what is missing is missing
    EXPECT_THAT(outcome.err,
                AllOf(HasSubstr("audio_blocks.*.attn.qkv.weight (2)"), HasSubstr("--allow-partial")))
        << command;
  }
  for (const std::string& command : commands("renamed.pth")) {
    if (command.starts_with("classify") || command.starts_with("convert") || command.starts_with("finetune"))
      continue;
    const Outcome outcome = run_cavmae(command + " --allow-partial");
    EXPECT_EQ(outcome.exit_code, 0) << command << "\n" << outcome.err;
    EXPECT_THAT(outcome.err, AllOf(HasSubstr("keep random initial values: blocks_a."),
                                   HasSubstr("left out: audio_blocks.")))
        << command;
  }
}

TEST_F(Checkpoints, InfoShowsWhatTheDescriptionStates) {
  const Outcome outcome = run_cavmae("info " + path("described.pth") + " --json -");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json info = Json::parse(outcome.out);
  EXPECT_EQ(info["model"]["num_heads"], 4);
  EXPECT_EQ(info["features"]["fbank_mean"], -3.5);
  EXPECT_TRUE(info["assumed"].empty());
  EXPECT_THAT(outcome.err, HasSubstr("described.pth.json"));
}

TEST_F(Checkpoints, TheNetworkToBeginFromCanBeChosen) {
  NamedTensors both;
  for (const auto& [name, tensor] : read_pth(path("m.pth"))) {
    const std::string own = name.substr(std::string("module.").size());
    both.emplace_back("model." + own, tensor);
    both.emplace_back("ema." + own, tensor * 2);
  }
  write_pth(path("both.pth"), both);
  std::filesystem::copy_file(path("described.pth.json"), path("both.pth.json"));
  const std::string finetune = "finetune --config finetune-tiny --print-config --init " + path("both.pth");
  EXPECT_THAT(run_cavmae(finetune + " --network ema").out, HasSubstr("\"network\": \"ema\""));
  const std::string pretrain = "pretrain --config " + path("config.json") + " --data " + path("clips") +
                               " --no-report --init " + path("both.pth") + " --out ";
  for (const std::string& command : {finetune, pretrain + path("none")}) {
    const Outcome outcome = run_cavmae(command + " --network mean");
    EXPECT_EQ(outcome.exit_code, 2) << command;
    EXPECT_THAT(outcome.err, HasSubstr("holds no network under 'mean'; it holds 'model', 'ema'"));
  }
  EXPECT_THAT(run_cavmae(pretrain + path("from_ema") + " --network ema").err,
              HasSubstr("taken is 'ema', not 'model' (--network)"));
}

TEST_F(Checkpoints, WhereNothingCanBeWrittenIsToldBeforeTheWork) {
  for (const std::string& result : {"--out " + path("none/x.safetensors"),
                                    "--out " + path("x.safetensors") + " --json " + path("none/x.json"),
                                    "--out " + path("clips"), "--out " + path("none/x")}) {
    const Outcome outcome =
        run_cavmae("embed --checkpoint " + path("run") + " --data " + clip() + " " + result);
    EXPECT_EQ(outcome.exit_code, 2) << result;
    EXPECT_THAT(outcome.err, testing::AnyOf(HasSubstr("there is no folder"), HasSubstr("is a folder")));
    EXPECT_THAT(outcome.err, Not(HasSubstr("embedding")));
  }
  EXPECT_EQ(run_cavmae("retrieve --checkpoint " + path("run") + " --data " + path("clips") + " --json " +
                       path("none/r.json"))
                .exit_code,
            2);
}

TEST_F(Checkpoints, ResizePositionsMayStandAlone) {
  const std::string embed = "embed --checkpoint " + path("run") + " --out " + path("x.safetensors") +
                            " --num-fbank-frames 48 --window-seconds 0.5 ";
  EXPECT_THAT(run_cavmae(embed + clip()).err, HasSubstr("--resize-positions"));
  for (const char* flag : {"--resize-positions ", "--resize-positions trim ",
                           "--resize-positions interpolate ", "--resize-positions=interpolate "}) {
    const Outcome outcome = run_cavmae(embed + flag + clip());
    EXPECT_EQ(outcome.exit_code, 0) << flag << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("positions fitted: pos_embed_a"));
  }
  EXPECT_EQ(run_cavmae(embed + clip() + " --resize-positions").exit_code, 0);
  EXPECT_THAT(run_cavmae(embed + clip() + " --resize-positions=cut").err,
              HasSubstr("--resize-positions: unknown value 'cut'"));
  const Outcome config =
      run_cavmae("pretrain --config tiny --print-config --resize-positions --data x --out y");
  EXPECT_THAT(config.out, HasSubstr("\"resize_positions\": \"trim\""));
  EXPECT_THAT(run_cavmae("pretrain --config tiny --print-config --no-resize-positions --data x --out y").out,
              HasSubstr("\"resize_positions\": false"));
}

}  // namespace
}  // namespace cavmae
