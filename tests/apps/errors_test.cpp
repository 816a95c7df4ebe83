// Every wrong command line: what is said and the exit code.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/json.h"

#include "tests/support/program.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing_support::Outcome;
using testing_support::run_cavmae;
using testing_support::run_shell;

// A message never shows where in LibTorch's source something happened, nor a stack.
void expect_error(const Outcome& outcome, int exit_code, const std::string& part) {
  EXPECT_EQ(outcome.exit_code, exit_code) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr(part));
  EXPECT_THAT(outcome.err, AllOf(Not(HasSubstr("frame #")), Not(HasSubstr("Exception raised")),
                                 Not(HasSubstr("terminate"))));
}

void put_text(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path) << text;
}

TEST(CommandLine, NoCommandShowsHowToBegin) {
  expect_error(run_cavmae(""), 2, "subcommand");
}

TEST(CommandLine, UnknownCommandNamesTheNearest) {
  expect_error(run_cavmae("pretrian"), 2, "did you mean 'pretrain'?");
}

TEST(CommandLine, UnknownFlagNamesTheNearest) {
  expect_error(run_cavmae("pretrain --mask-ratio-adio 0.5"), 2, "did you mean '--mask-ratio-audio'?");
  expect_error(run_cavmae("retrieve --chekpoint x"), 2, "did you mean '--checkpoint'?");
}

TEST(CommandLine, AClipThatTakesTooLongIsNamedWithTheFlag) {
  TemporaryFolder folder;
  const std::string clips = (folder / "clips").string();
  ASSERT_EQ(run_cavmae("synth --out " + clips + " --clips 2 --seconds 1 --image-size 48").exit_code, 0);
  const Outcome outcome = run_cavmae("stats --data " + clips + " --clip-timeout 1e-9");
  expect_error(outcome, 1, "000000.mp4' was not read within 1e-09 s");
  EXPECT_THAT(outcome.err, HasSubstr("raise --clip-timeout"));
  EXPECT_EQ(run_cavmae("stats --data " + clips + " --clip-timeout 600").exit_code, 0);
  expect_error(run_cavmae("stats --data " + clips + " --clip-timeout -1"), 2, "clip_timeout is -1");
}

TEST(CommandLine, OutputThatCannotBeWrittenIsAnError) {
  expect_error(run_cavmae("--version >/dev/full"), 1,
               "cavmae: the standard output cannot be written: No space left on device");
  expect_error(run_cavmae("info --machine --json - >/dev/full"), 1, "the standard output cannot be written");
  EXPECT_EQ(run_cavmae("--version >&-").exit_code, 1);
  EXPECT_EQ(run_cavmae("--version >/dev/null").exit_code, 0);
}

TEST(CommandLine, MissingRequiredFlagIsNamed) {
  expect_error(run_cavmae("retrieve --data x"), 2, "--checkpoint");
}

TEST(CommandLine, WrongNumberIsShown) {
  expect_error(run_cavmae("pretrain --data x --out y --epochs many"), 2,
               "--epochs: expected a whole number, found 'many'");
}

TEST(CommandLine, ADeviceThatIsNoneIsToldWithTheAllowedOnes) {
  for (const char* command : {"bench --device gpu", "pretrain --data x --out y --device gpu"})
    expect_error(run_cavmae(command), 2, "device is 'gpu'; allowed are cpu, cuda and cuda:N");
}

TEST(CommandLine, UnknownConfigNamesTheNearest) {
  expect_error(run_cavmae("pretrain --config tyni --data x --out y"), 2, "did you mean 'tiny'?");
}

TEST(CommandLine, UnknownConfigKeyNamesFileAndNearest) {
  TemporaryFolder folder;
  put_text(folder / "a.json", R"({"model": {"embed_dims": 32}})");
  const Outcome outcome =
      run_cavmae("pretrain --config " + (folder / "a.json").string() + " --data x --out y");
  expect_error(outcome, 2, "a.json: model: unknown key 'embed_dims' (did you mean 'embed_dim'?)");
}

TEST(CommandLine, BrokenConfigNamesTheLine) {
  TemporaryFolder folder;
  put_text(folder / "a.json", "{\n  \"epochs\": ,\n}");
  expect_error(run_cavmae("pretrain --config " + (folder / "a.json").string() + " --data x --out y"), 2,
               "line 2");
}

TEST(CommandLine, EveryBadFieldIsReportedAtOnce) {
  const Outcome outcome =
      run_cavmae("pretrain --config tiny --data x --out y --embed-dim 30 --mask-ratio-audio 1.5");
  expect_error(outcome, 2, "embed_dim");
  EXPECT_THAT(outcome.err, HasSubstr("mask_ratio_audio"));
}

TEST(CommandLine, MissingDataPathIsNamed) {
  TemporaryFolder folder;
  expect_error(run_cavmae("pretrain --config tiny --data /no/such/place --out " + (folder / "run").string()),
               1, "/no/such/place");
  EXPECT_FALSE(std::filesystem::exists(folder / "run"));
}

TEST(CommandLine, EmptyFolderSaysWhatWasLookedFor) {
  TemporaryFolder folder;
  std::filesystem::create_directories(folder / "empty");
  expect_error(run_cavmae("pretrain --config tiny --data " + (folder / "empty").string() + " --out " +
                          (folder / "run").string()),
               1, "mp4");
}

TEST(CommandLine, NoCheckpointSaysWhatWasLookedFor) {
  TemporaryFolder folder;
  put_text(folder / "a.mp4", "");
  expect_error(
      run_cavmae("retrieve --checkpoint " + folder.path().string() + " --data " + folder.path().string()), 1,
      folder.path().string());
}

TEST(CommandLine, CorruptCheckpointIsNamed) {
  TemporaryFolder folder;
  put_text(folder / "bad.safetensors", "not tensors at all");
  expect_error(run_cavmae("info " + (folder / "bad.safetensors").string()), 1, "bad.safetensors");
  put_text(folder / "bad.pth", "not a checkpoint");
  expect_error(run_cavmae("info " + (folder / "bad.pth").string()), 1, "bad.pth");
}

TEST(CommandLine, InfoOfAMissingFile) {
  expect_error(run_cavmae("info /no/such/file.mp4"), 1, "/no/such/file.mp4");
}

// libgomp says what it found each time that it is initialized.
TEST(CommandLine, StartsAgainBeforeItsLibrariesDo) {
  const auto shown_by = [](const std::string& environment) {
    const std::string err =
        run_shell("env -u GOMP_SPINCOUNT -u OMP_WAIT_POLICY -u OPENBLAS_CORETYPE OMP_DISPLAY_ENV=verbose " +
                  environment + " " + CAVMAE_PROGRAM + " info --machine")
            .err;
    std::vector<std::string> counts;
    std::istringstream lines(err);
    for (std::string line; std::getline(lines, line);)
      if (line.find("GOMP_SPINCOUNT") != std::string::npos) counts.push_back(line);
    return counts;
  };
  EXPECT_THAT(shown_by(""), ElementsAre(HasSubstr("'3000'")));
  EXPECT_THAT(shown_by("GOMP_SPINCOUNT=77"), ElementsAre(HasSubstr("'77'")));
  EXPECT_THAT(shown_by("OMP_WAIT_POLICY=passive"), ElementsAre(HasSubstr("'0'")));
}

// What ps, top and killall call it. It makes its folder once it has started again.
TEST(CommandLine, KeepsItsNameWhenItStartsAgain) {
  const TemporaryFolder folder;
  const std::string clips = (folder / "clips").string();
  const auto named = run_shell("env -u GOMP_SPINCOUNT " + std::string(CAVMAE_PROGRAM) +
                               " synth --clips 500 --out " + clips + " -q & for i in $(seq 600); do [ -d " +
                               clips + " ] && break; sleep 0.1; done; cat /proc/$!/comm; kill $!");
  EXPECT_EQ(named.out, "cavmae\n");
}

TEST(CommandLine, AsksForHugePagesUnlessTheUserHasDecided) {
  const auto machine = [](const std::string& environment) {
    return run_shell("env -u GLIBC_TUNABLES " + environment + " " + CAVMAE_PROGRAM + " info --machine").out;
  };
  EXPECT_THAT(machine(""), HasSubstr("asks for huge pages"));
  EXPECT_THAT(machine("GOMP_SPINCOUNT=77"), HasSubstr("asks for huge pages"));
  EXPECT_THAT(machine("GLIBC_TUNABLES=glibc.malloc.hugetlb=0"), Not(HasSubstr("huge pages")));
}

Outcome machine_with(const std::string& environment) {
  return run_shell("env " + environment + " " + CAVMAE_PROGRAM + " info --machine --json -");
}

TEST(CommandLine, InstructionsThatAreMaskedOffAreInNoKernelsUse) {
  const auto in_use = [](const std::string& environment) {
    const Outcome outcome = machine_with(environment);
    EXPECT_EQ(outcome.exit_code, 0) << environment;
    return Json::parse(outcome.out);
  };
  for (const char* environment : {"CAVMAE_ISA=avx2", "ONEDNN_MAX_CPU_ISA=AVX2"}) {
    const Json machine = in_use(environment);
    EXPECT_THAT(machine["isa"].dump(), Not(HasSubstr("avx512"))) << environment;
    EXPECT_THAT(machine["kernels"].dump(), AllOf(Not(HasSubstr("avx512")), Not(HasSubstr("onednn"))));
    for (const char* job : {"forward in bf16", "dgrad in bf16", "wgrad in bf16"})
      EXPECT_EQ(machine["kernels"][job], "via_fp32") << environment;
  }
  const Json machine = in_use("CAVMAE_ISA=baseline");
  EXPECT_EQ(machine["isa"], Json::array({"baseline"}));
  for (const char* family :
       {"attention in fp32", "attention in bf16", "rows", "Adam", "fbank", "resize", "CRC-32C"})
    EXPECT_EQ(machine["kernels"][family], "baseline") << family;
}

TEST(CommandLine, RatesOfInstructionsAreToldWithTheKernels) {
  const Outcome outcome = run_cavmae("info --machine --json -");
  ASSERT_EQ(outcome.exit_code, 0);
  const Json rates = Json::parse(outcome.out).at("instruction_gflops");
  EXPECT_GT(rates.at("fp32 multiply-add").get<double>(), 0.1);
  EXPECT_TRUE(rates.contains("vdpbf16ps") && rates.contains("tdpbf16ps"));
  const Json troubles = Json::parse(machine_with("CAVMAE_ISA=avx2").out).at("instruction_troubles");
  EXPECT_THAT(troubles.at("tdpbf16ps"), HasSubstr("no tiles, or may not use them"));
  const std::string text =
      run_shell(std::string("CAVMAE_ISA=avx2 ") + CAVMAE_PROGRAM + " info --machine").out;
  EXPECT_THAT(text, AllOf(HasSubstr("instructions  fp32 multiply-add: "),
                          HasSubstr("vdpbf16ps: not to be used here: the processor does not have it")));
}

// What --engine takes.
TEST(CommandLine, EnginesBesideThoseInUseAreToldByName) {
  const Json engines = Json::parse(machine_with("CAVMAE_ISA=avx2").out).at("engines");
  EXPECT_EQ(engines.size(), 8U);
  EXPECT_EQ(engines.at("forward in bf16"),
            parse_json(R"({"others": [], "for_tests": ["emulated_tiles"]})", "it"));
  EXPECT_EQ(engines.at("attention in bf16").at("for_tests"), Json::array({"emulated_tiles"}));
  const std::string text =
      run_shell(std::string("CAVMAE_ISA=baseline ") + CAVMAE_PROGRAM + " info --machine").out;
  EXPECT_THAT(text, ContainsRegex("wgrad in bf16: via_fp32 \\([^)]* a core\\); for tests: emulated_tiles\n"));
}

TEST(CommandLine, AnUnknownWordForTheInstructionsNamesTheKnownOnes) {
  expect_error(machine_with("CAVMAE_ISA=sse9"), 2,
               "CAVMAE_ISA is 'sse9'; it can be baseline, avx2, avx512, avx512_bf16 or amx");
}

TEST(CommandLine, MachineIsDescribed) {
  const Outcome outcome = run_cavmae("info --machine --json -");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.out, HasSubstr("\"warnings\""));
  EXPECT_THAT(outcome.out, HasSubstr("\"attention_kernels\""));
}

}  // namespace
}  // namespace cavmae
