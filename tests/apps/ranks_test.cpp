// Commands that two processes run together.
#include <algorithm>
#include <cstdlib>

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
using testing_support::Outcome;
using testing_support::read_whole;
using testing_support::run_cavmae;
using testing_support::run_shell;

const std::string kToyBench =
    "bench --num-fbank-frames 96 --num-mel-bins 32 --image-size 48 --embed-dim 32 --num-heads 2 "
    "--modality-depth 1 --decoder-depth 1 --decoder-embed-dim 32 --decoder-num-heads 2 --batch-size 2 --steps 1 ";

constexpr const char* kToyRun = R"({
  "epochs": 1,
  "model": {"num_fbank_frames": 96, "num_mel_bins": 32, "image_size": 32, "embed_dim": 32, "num_heads": 2,
            "modality_depth": 1, "decoder_depth": 1, "decoder_embed_dim": 32, "decoder_num_heads": 2},
  "data": {"window_seconds": 1.0},
  "loader": {"batch_size": 2, "num_workers": 1}
})";

// What is put before the command of each rank, and behind its arguments.
struct EachRank {
  std::string before[2] = {"", ""}, behind[2] = {"", ""};
};

class TwoRanks : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  // The outcomes by rank.
  std::vector<Outcome> run(const std::string& arguments, const EachRank& each = {}) {
    const std::string meeting =
        " --dist-timeout 120 --dist-url file://" + path("meeting" + std::to_string(runs_++));
    const auto command = [&](int rank) {
      return each.before[rank] + " timeout 300 " + CAVMAE_PROGRAM + " " + arguments +
             " --dist-size 2 --dist-rank " + std::to_string(rank) + meeting + " " + each.behind[rank];
    };
    const Outcome first =
        run_shell(command(1) + " >" + path("out") + " 2>" + path("err") + " & " + command(0) +
                  "; code=$?; wait $!; echo $? >" + path("code") + "; exit $code");
    return {first,
            {.exit_code = std::atoi(read_whole(folder_ / "code").c_str()),
             .out = read_whole(folder_ / "out"),
             .err = read_whole(folder_ / "err")}};
  }

  TemporaryFolder folder_;
  int runs_ = 0;
};

TEST_F(TwoRanks, BenchTellsWhatTheyExchangeAndSharesTheCores) {
  const Outcome alone = run_cavmae(kToyBench + "--json -");
  ASSERT_EQ(alone.exit_code, 0) << alone.err;
  const int cores = parse_json(alone.out, "--json -")["threads"].get<int>();
  const auto ranks = run(kToyBench + "--json " + path("b.json"));
  ASSERT_EQ(ranks[0].exit_code, 0) << ranks[0].err;
  EXPECT_EQ(ranks[1].exit_code, 0) << ranks[1].err;
  EXPECT_EQ(ranks[1].out, "") << "rank 0 tells it";
  const Json json = read_json(folder_ / "b.json");
  EXPECT_EQ(json["ranks"], 2);
  EXPECT_GT(json["exchange_seconds"].get<double>(), 0);
  EXPECT_NEAR(json["samples_per_second"].get<double>(), 4 / json["step_seconds"].get<double>(), 1e-6);
  EXPECT_THAT(ranks[0].out,
              AllOf(HasSubstr("2 ranks on 1 host"), HasSubstr("exchange  "), HasSubstr("of 2 ranks")));
  const bool user_decides = std::getenv("OMP_NUM_THREADS") != nullptr;
  const int threads = user_decides ? cores : std::max(1, cores / 2);
  EXPECT_EQ(json["threads"], threads);
  EXPECT_THAT(ranks[0].out, HasSubstr("rank 0 computes with " + std::to_string(threads) + " thread"));
  const auto with_three = run(kToyBench + "--threads 3 --json -");
  EXPECT_EQ(parse_json(with_three[0].out, "--json -")["threads"], 3) << "as the user says";
}

TEST_F(TwoRanks, ComputeWithTheKernelsOfTheFirst) {
  const auto older = run(kToyBench + "--threads 1 --json -", {.before = {"CAVMAE_ISA=baseline", ""}});
  ASSERT_EQ(older[0].exit_code, 0) << older[0].err;
  const auto engine = parse_json(older[0].out, "--json -")["engine"].get<std::string>();
  EXPECT_THAT(engine, HasSubstr("attention=baseline"));
  const auto newer = run(kToyBench + "--threads 1 --json -", {.before = {"", "CAVMAE_ISA=baseline"}});
  if (newer[0].exit_code == 0) {  // this machine has no better ones
    EXPECT_EQ(parse_json(newer[0].out, "--json -")["engine"], engine);
    return;
  }
  for (const Outcome& rank : newer) {
    EXPECT_EQ(rank.exit_code, 2);
    EXPECT_THAT(rank.err,
                AllOf(HasSubstr("rank 0 computes with forward="), HasSubstr("which rank 1 cannot: "),
                      HasSubstr("give all ranks an --engine or a CAVMAE_ISA that every host has")));
  }
}

class TwoRanksWithARun : public TwoRanks {
 protected:
  void SetUp() override {
    write_file(folder_ / "toy.json", kToyRun);
    for (const char* clips : {"four", "six"})
      ASSERT_EQ(run_cavmae("synth --out " + path(clips) + " --seconds 1 --image-size 48 --clips " +
                           (std::string(clips) == "four" ? "4" : "6"))
                    .exit_code,
                0);
  }
  Outcome train(const std::string& more) const { return run_cavmae(training() + more); }
  std::string training() const {
    return "pretrain --no-report --threads 1 --config " + path("toy.json") + " --data " + path("four") +
           " --out " + path("run") + " ";
  }
};

TEST_F(TwoRanksWithARun, TellOfNegativesOfTheirOwn) {
  const auto ranks = run(training() + "--negatives rank");
  ASSERT_EQ(ranks[0].exit_code, 0) << ranks[0].err;
  const std::string log = read_text(folder_ / "run/run.log");
  EXPECT_THAT(
      log.substr(0, log.find('\n')),
      AllOf(HasSubstr("a batch is 2 clips of each rank, 4 in all"),
            HasSubstr(
                "the contrastive loss sees those of a rank, 2: another number of ranks is another loss")));
}

TEST_F(TwoRanksWithARun, OnOtherClipsAreRefusedByEveryCommand) {
  ASSERT_EQ(train("").exit_code, 0);
  const std::string model = " --checkpoint " + path("run");
  for (const std::string& command :
       {std::string("stats"), "embed --out " + path("e.safetensors") + model,
        "embed --out " + path("parts") + model, "retrieve" + model, "evaluate" + model}) {
    const auto ranks =
        run(command + " --threads 1", {.behind = {"--data " + path("four"), "--data " + path("six")}});
    for (const Outcome& rank : ranks) {
      EXPECT_EQ(rank.exit_code, 2) << command;
      EXPECT_THAT(rank.err, AllOf(HasSubstr("rank 0 reads 4 clips, rank 1 reads 6"), HasSubstr("--data")))
          << command;
    }
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "e.safetensors"));
}

TEST_F(TwoRanksWithARun, MakeVectorsWithTheKernelsOfTheFirst) {
  ASSERT_EQ(train("").exit_code, 0);
  const bool has_better =
      parse_json(run_cavmae("info --machine --json -").out, "info").at("attention_kernels").at("fp32") !=
      "baseline";
  const std::string model = " --checkpoint " + path("run") + " --threads 1 --data " + path("four");
  for (const std::string& command : {"embed --out " + path("e.safetensors") + model, "retrieve" + model,
                                     "index " + path("library") + model}) {
    const auto older = run(command, {.before = {"CAVMAE_ISA=baseline", ""}});
    for (const Outcome& rank : older) EXPECT_EQ(rank.exit_code, 0) << command << rank.err;
    const auto newer = run(command, {.before = {"", "CAVMAE_ISA=baseline"}});
    for (const Outcome& rank : newer) {
      EXPECT_EQ(rank.exit_code, has_better ? 2 : 0) << command << rank.err;
      if (!has_better) continue;
      EXPECT_THAT(rank.err,
                  AllOf(HasSubstr("rank 0 computes with forward="), HasSubstr("which rank 1 cannot: ")))
          << command;
    }
  }
}

// Of the GPUs of a host each rank has the one of its number there.
TEST_F(TwoRanksWithARun, TakeTheGpuOfTheirNumber) {
  const std::string torchrun = "RANK=1 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=1 LOCAL_RANK=";
  const auto device_of = [&](const std::string& local_rank, const std::string& device) {
    const Outcome outcome = run_shell(torchrun + local_rank + " " + CAVMAE_PROGRAM + " " + training() +
                                      "--print-config --device " + device);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return parse_json(outcome.out, "--print-config")["runtime"]["device"].get<std::string>();
  };
  EXPECT_EQ(device_of("1", "cuda"), "cuda:1");
  EXPECT_EQ(device_of("0", "cuda"), "cuda");
  EXPECT_EQ(device_of("1", "cuda:3"), "cuda:3") << "as the user says";
  EXPECT_EQ(device_of("1", "cpu"), "cpu");
  ASSERT_EQ(train("").exit_code, 0);
  const auto embed = [&](const std::string& rank) {
    return "RANK=" + rank + " LOCAL_RANK=" + rank + " WORLD_SIZE=2 timeout 300 " + CAVMAE_PROGRAM +
           " embed --device cuda --dist-timeout 120 --dist-url file://" + path("meeting") + " --checkpoint " +
           path("run") + " --data " + path("four") + " --out " + path("e.safetensors");
  };
  const Outcome second = run_shell("(" + embed("0") + " >" + path("out") + " 2>&1 ) & " + embed("1") +
                                   "; code=$?; wait; exit $code");
  EXPECT_TRUE(second.exit_code == 0 || second.err.find("cuda:1") != std::string::npos) << second.err;
}

}  // namespace
}  // namespace cavmae
