// cavmae bench on a toy network.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/json.h"

#include "tests/support/program.h"

namespace cavmae {
namespace {

using testing::HasSubstr;
using testing_support::Outcome;
using testing_support::run_cavmae;
using testing_support::run_shell;

const std::string kToy =
    "bench --num-fbank-frames 96 --num-mel-bins 32 --image-size 48 --embed-dim 32 --num-heads 2 "
    "--modality-depth 1 --decoder-depth 2 --decoder-embed-dim 32 --decoder-num-heads 2 --threads 1 "
    "--batch-size 2 ";

TEST(Bench, PrintsPartsThatSumToTheStep) {
  const TemporaryFolder folder;
  const Outcome outcome = run_cavmae(kToy + "--steps 3 --json " + (folder / "b.json").string());
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  for (const char* row :
       {"embedding", "audio encoder", "video encoder", "joint layers", "decoder", "attention", "matmul",
        "mlp", "heads", "loss", "optimizer", "total", "peak", "clips/s"})
    EXPECT_THAT(outcome.out, HasSubstr(row));
  const Json json = read_json(folder / "b.json");
  EXPECT_THAT(outcome.out, HasSubstr("engines        " + json["engine"].get<std::string>() + "\n"));
  double seconds = 0, gflop = 0;
  for (const Json& part : json["parts"]) {
    seconds += part["seconds"].get<double>();
    gflop += part["gflop"].get<double>();
  }
  EXPECT_NEAR(seconds, json["step_seconds"].get<double>(), 1e-9);
  EXPECT_NEAR(gflop, 2 * json["gflop_per_sample"].get<double>(), 1e-9);
  EXPECT_NEAR(json["samples_per_second"].get<double>(), 2 / seconds, 1e-6 / seconds);
  EXPECT_GT(json["peak_gflops"].get<double>(), 0);
  EXPECT_GT(json["peak_memory_bytes"].get<double>(), 1e6);
  EXPECT_EQ(json["threads"], 1);
}

TEST(Bench, PlainKernelsAreMeasuredToo) {
  const Outcome outcome = run_cavmae(kToy + "--steps 1 --kernels plain --json -");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(parse_json(outcome.out, "--json -")["kernels"], "plain");
}

TEST(Bench, FollowTakesAStepForEachLine) {
  const Outcome outcome =
      run_shell(std::string("printf '\\n\\n' | ") + CAVMAE_PROGRAM + " " + kToy + "--follow");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  std::istringstream lines(outcome.out);
  std::vector<Json> said;
  for (std::string line; std::getline(lines, line);) said.push_back(parse_json(line, "a line"));
  ASSERT_EQ(said.size(), 4u);
  EXPECT_EQ(said[0]["ready"], true);
  EXPECT_THAT(said[0]["engine"], testing::StartsWith("forward="));
  EXPECT_GT(said[1]["seconds"].get<double>(), 0);
  EXPECT_GT(said[2]["seconds"].get<double>(), 0);
  EXPECT_GT(said[2]["cpu_seconds"].get<double>(), 0);
  EXPECT_GT(said[3]["peak_memory_bytes"].get<double>(), 1e6);
}

TEST(Bench, OlderNamesOfFlagsAndKeysStay) {
  const std::string toy = kToy.substr(0, kToy.find("--batch-size"));
  const Outcome outcome =
      run_cavmae(toy + "--steps 1 --mode features --pictures 2 --batch 3 --dtype bf16 --json -");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json json = parse_json(outcome.out, "--json -");
  EXPECT_EQ(json["mode"], "embed");
  for (const char* key : {"batch", "batch_size"}) EXPECT_EQ(json[key], 3) << key;
  for (const char* key : {"dtype", "precision"}) EXPECT_EQ(json[key], "bf16") << key;
  for (const char* key : {"pictures", "num_frames"}) EXPECT_EQ(json[key], 2) << key;
  const Outcome both = run_cavmae(kToy + "--steps 1 --batch 3");
  EXPECT_EQ(both.exit_code, 2);
  EXPECT_THAT(both.err, HasSubstr("--batch is an older name of --batch-size; give one of them"));
}

TEST(Bench, RefusesWhatItCannotMeasure) {
  EXPECT_EQ(run_cavmae(kToy + "--steps 0").exit_code, 2);
  EXPECT_EQ(run_cavmae("bench --batch-size 0").exit_code, 2);
  const Outcome outcome = run_cavmae("bench --mode trian");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("--mode"));
}

}  // namespace
}  // namespace cavmae
