// --engine: which kernels compute a run, what it records of them, and what resuming makes of that.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/files.h"
#include "cavmae/core/json.h"

#include "tests/support/program.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using testing_support::Outcome;
using testing_support::run_cavmae;

constexpr const char* kEngineConfig = R"({
  "epochs": 1, "precision": "bf16",
  "model": {"num_fbank_frames": 96, "num_mel_bins": 32, "image_size": 32, "embed_dim": 32, "num_heads": 2,
            "modality_depth": 1, "decoder_depth": 1, "decoder_embed_dim": 32, "decoder_num_heads": 2},
  "data": {"window_seconds": 1.0},
  "loader": {"batch_size": 4}
})";

class EngineFlag : public testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(folder_ / "config.json") << kEngineConfig;
    ASSERT_EQ(run_cavmae("synth --out " + path("clips") + " --clips 4 --seconds 1 --image-size 48").exit_code,
              0);
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  Outcome pretrain(const std::string& more) const {
    return run_cavmae("pretrain --config " + path("config.json") + " --data " + path("clips") + " --out " +
                      path("run") + " --no-report " + more);
  }
  std::string recorded(const std::string& run = "run") const {
    return read_json(folder_ / run / "config.json")["runtime"]["engine"].get<std::string>();
  }
  TemporaryFolder folder_;
};

TEST_F(EngineFlag, IsRecordedWithWhatIsChosenAndKeptByAResumedRun) {
  ASSERT_EQ(pretrain("--engine wgrad=via_fp32,attention=baseline").exit_code, 0);
  EXPECT_THAT(recorded(), AllOf(StartsWith("forward="), HasSubstr("wgrad=via_fp32,attention=baseline")));
  Outcome resumed = run_cavmae("pretrain --resume --no-report --epochs 2 --out " + path("run"));
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_THAT(recorded(), HasSubstr("wgrad=via_fp32,attention=baseline"));
  const Json state = read_json(folder_ / "run/checkpoints/last/state.json");
  EXPECT_EQ(state.at("config").at("runtime").at("engine"), recorded());
  // On another machine: what is not there is said, and the run goes on.
  Json config = read_json(folder_ / "run/config.json");
  config["runtime"]["engine"] = "forward=abacus,dgrad=quipu,wgrad=via_fp32,attention=baseline";
  write_json(folder_ / "run/config.json", config);
  resumed = run_cavmae("pretrain --resume --no-report --epochs 3 --out " + path("run"));
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_THAT(resumed.err, AllOf(HasSubstr("has no 'abacus' for forward in bf16"),
                                 HasSubstr("has no 'quipu' for dgrad in bf16"), HasSubstr("it goes on")));
  EXPECT_THAT(recorded(), HasSubstr("wgrad=via_fp32,attention=baseline")) << "what is here is kept";
}

TEST_F(EngineFlag, OfARunResumedInAnotherPrecisionIsTheMachinesOwn) {
  const auto of_new_run = [&](const std::string& precision) {
    const Outcome outcome = pretrain("--precision " + precision);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return recorded();
  };
  const std::string of_bf16 = of_new_run("bf16");
  std::filesystem::remove_all(folder_ / "run");
  const std::string of_fp32 = of_new_run("fp32");
  ASSERT_NE(of_bf16, of_fp32);
  int epochs = 2;
  for (const auto& [precision, engines] : {std::pair("bf16", of_bf16), std::pair("fp32", of_fp32)}) {
    const Outcome resumed = run_cavmae("pretrain --resume --no-report --out " + path("run") +
                                       " --precision " + precision + " --epochs " + std::to_string(epochs++));
    ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
    EXPECT_EQ(recorded(), engines);
    EXPECT_THAT(resumed.err, Not(HasSubstr("missing here")));
  }
}

TEST_F(EngineFlag, OfAResumedRunIsPutBeforeWhatItRecorded) {
  ASSERT_EQ(pretrain("--engine wgrad=via_fp32,attention=baseline").exit_code, 0);
  const std::string resume = "pretrain --resume --no-report --epochs 2 --out " + path("run") + " --engine ";
  Outcome resumed = run_cavmae(resume + "forward=abacus");
  EXPECT_EQ(resumed.exit_code, 2);
  EXPECT_THAT(resumed.err, HasSubstr("has no 'abacus' for forward in bf16"));
  resumed = run_cavmae(resume + "forward=emulated_tiles");
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_THAT(recorded(),
              AllOf(StartsWith("forward=emulated_tiles,"), HasSubstr("wgrad=via_fp32,attention=baseline")));
}

TEST_F(EngineFlag, IsRecordedByEveryCellOfAnAblation) {
  write_file(folder_ / "fp32.json", [] {
    Json config = parse_json(kEngineConfig, "config");
    config["precision"] = "fp32";
    config["runtime"]["engine"] = "attention=baseline";
    return config.dump();
  }());
  const Outcome outcome =
      run_cavmae("ablate --over config=" + path("config.json") + "," + path("fp32.json") + " --data " +
                 path("clips") + " --val " + path("clips") + " --out " + path("grid"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  int cells = 0;
  for (const auto& cell : std::filesystem::directory_iterator(folder_ / "grid/cells")) {
    const bool is_fp32 = cell.path().filename().string().ends_with("fp32.json");
    const std::string engine = recorded((cell.path() / "run").string());
    EXPECT_THAT(engine, StartsWith("forward=")) << cell.path();
    EXPECT_EQ(engine.ends_with("attention=baseline"), is_fp32) << cell.path();
    ++cells;
  }
  EXPECT_EQ(cells, 2);
}

TEST_F(EngineFlag, ThatNamesNothingIsRefusedBeforeTheWork) {
  const Outcome outcome = pretrain("--engine forward=abacus");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("it has via_fp32"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run/config.json"));
  EXPECT_EQ(pretrain("--kernels plain --engine forward=via_fp32").exit_code, 2);
}

// A command that trains nothing takes them as well.
TEST_F(EngineFlag, OfAnEmbeddingIsTakenAndToldOrRefused) {
  ASSERT_EQ(pretrain("").exit_code, 0);
  const std::string embed = "embed --checkpoint " + path("run") + " --data " + path("clips") +
                            " --precision bf16 " + "--out " + path("e.safetensors") + " --engine ";
  Outcome outcome = run_cavmae(embed + "forward=abacus");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("has no 'abacus' for forward in bf16"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "e.safetensors"));
  outcome = run_cavmae(embed + "forward=via_fp32,attention=baseline");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("computed by forward=via_fp32"), HasSubstr("attention=baseline")));
}

}  // namespace
}  // namespace cavmae
