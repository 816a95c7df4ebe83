// --precision of the commands that run a network: its defaults, and that what they write says which it was.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/files.h"
#include "cavmae/core/json.h"
#include "cavmae/eval/embed_file.h"
#include "cavmae/nn/precision_choice.h"
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

constexpr const char* kOfForty = R"({
  "epochs": 2, "log_interval_steps": 4,
  "model": {"num_fbank_frames": 96, "num_mel_bins": 32, "image_size": 32, "embed_dim": 64, "num_heads": 2,
            "modality_depth": 2, "decoder_depth": 1, "decoder_embed_dim": 32, "decoder_num_heads": 2},
  "data": {"window_seconds": 1.0},
  "loader": {"batch_size": 8}
})";

TEST(PrecisionFlag, IsOneOfEveryCommandThatRunsANetwork) {
  for (const char* command : {"embed", "classify", "index"})
    EXPECT_THAT(run_cavmae(std::string(command) + " --help").out, HasSubstr("[auto]")) << command;
  for (const char* command : {"retrieve", "evaluate", "inpaint", "localize", "report"})
    EXPECT_THAT(run_cavmae(std::string(command) + " --help").out,
                AllOf(HasSubstr("--precision"), HasSubstr("[fp32]")))
        << command;
}

class PrecisionRun : public testing::Test {
 protected:
  void SetUp() override {
    CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_ffmpeg(), "ffmpeg");
    write_file(folder_ / "config.json", kOfForty);
    ASSERT_EQ(
        run_cavmae("synth --out " + path("clips") + " --clips 40 --seconds 1 --image-size 48").exit_code, 0);
    const Outcome trained = run_cavmae("pretrain --no-report --config " + path("config.json") + " --data " +
                                       path("clips") + " --out " + path("run"));
    ASSERT_EQ(trained.exit_code, 0) << trained.err;
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  StoredEmbeddings embed(const std::string& flags) const {
    const Outcome outcome = run_cavmae("embed --checkpoint " + path("run") + " --data " + path("clips") +
                                       " --out " + path("e.safetensors") + " " + flags);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return read_embeddings(path("e.safetensors"));
  }
  Json json_of(const std::string& command) const {
    const Outcome outcome = run_cavmae(command + " --checkpoint " + path("run") + " --json -");
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return Json::parse(outcome.out);
  }

  TemporaryFolder folder_;
};

// Cosines of rows, without what all of them share.
torch::Tensor centred_cosines(const torch::Tensor& a, const torch::Tensor& b) {
  const torch::Tensor mean = b.mean(0);
  return at::cosine_similarity(a - mean, b - mean, 1);
}

TEST_F(PrecisionRun, VectorsAreStatedAndNearlyTheSame) {
  const StoredEmbeddings fp32 = embed("--precision fp32"), bf16 = embed("--precision bf16");
  EXPECT_EQ(fp32.precision, Precision::fp32);
  EXPECT_EQ(bf16.precision, Precision::bf16);
  EXPECT_FALSE(bf16.audio.equal(fp32.audio));
  EXPECT_GE(centred_cosines(bf16.audio, fp32.audio).min().item<float>(), 0.999F);
  EXPECT_GE(centred_cosines(bf16.video, fp32.video).min().item<float>(), 0.999F);
  EXPECT_EQ(embed("").precision, resolve_precision(PrecisionChoice::automatic, torch::kCPU));
}

// Which is looked at while the first clips are read.
TEST_F(PrecisionRun, AModelThatDivergedIsRefused) {
  TensorFile model = read_safetensors(folder_ / "run/checkpoints/last/model.safetensors");
  for (auto& [name, tensor] : model.tensors)
    if (name == "blocks_v.1.mlp.fc2.weight") tensor[0][1] = NAN;
  write_safetensors(folder_ / "nan.safetensors", model.tensors, model.metadata);
  for (const char* const precision : {"fp32", "bf16"})
    for (const char* const out : {"nan_out.safetensors", "nan_out"}) {
      const Outcome refused = run_cavmae("embed --checkpoint " + path("nan.safetensors") + " --data " +
                                         path("clips") + " --out " + path(out) + " --precision " + precision);
      EXPECT_EQ(refused.exit_code, 1) << refused.err;
      EXPECT_THAT(refused.err,
                  AllOf(HasSubstr("nan.safetensors: 'blocks_v.1.mlp.fc2.weight' holds values that"),
                        Not(HasSubstr("cannot be read"))));
      EXPECT_FALSE(std::filesystem::exists(folder_ / out)) << out;
    }
}

// A machine on which the other one is faster goes on with a library as it is.
TEST_F(PrecisionRun, ALibraryKeepsItsOwn) {
  const bool is_bf16 = resolve_precision(PrecisionChoice::automatic, torch::kCPU) == Precision::bf16;
  const std::string other = is_bf16 ? "fp32" : "bf16";
  const auto index = [&](const std::string& flags) {
    return run_cavmae("index " + path("library") + " --data " + path("clips") + " --checkpoint " +
                      path("run") + " " + flags);
  };
  ASSERT_EQ(index("--precision " + other).exit_code, 0);
  const Outcome again = index("");
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(read_json(folder_ / "library/library.json").at("model").at("precision"), other);
  const Outcome refused = index(is_bf16 ? "--precision bf16" : "--precision fp32");
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("cannot take vectors of"));
}

TEST_F(PrecisionRun, FiguresAreThoseOfEveryMachineUnlessAsked) {
  EXPECT_EQ(json_of("retrieve --data " + path("clips"))["precision"], "fp32");
  EXPECT_EQ(json_of("retrieve --precision bf16 --data " + path("clips"))["precision"], "bf16");
  EXPECT_EQ(json_of("evaluate --data " + path("clips"))["precision"], "fp32");
  const Outcome wrong =
      run_cavmae("retrieve --precision half --checkpoint " + path("run") + " --data " + path("clips"));
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.err, AllOf(HasSubstr("--precision"), HasSubstr("fp32, bf16, auto")));
}

}  // namespace
}  // namespace cavmae
