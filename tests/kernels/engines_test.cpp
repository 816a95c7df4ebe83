#include "cavmae/kernels/engines.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/kernels/engine_names.h"
#include "cavmae/kernels/flash_attention.h"
#include "cavmae/kernels/matmul.h"

#include "tests/support/temporary_folder.h"

namespace cavmae::kernels::engines_test {
namespace {

using testing::HasSubstr;

// A processor that multiplies 100 times with each kind of instruction in the time of a share of 1.
constexpr InstructionRates kEvenRates = {{100, 100, 100}};

Engine engine(const std::string& name, Instruction instruction, double efficiency) {
  return {.name = name, .speed = {instruction, efficiency}};
}

size_t chosen(const std::vector<Engine>& engines) {
  return choose_engine(Job::forward, Element::bf16, engines, kEvenRates).index;
}

TEST(Engines, TheTablesLastIsTakenUnlessAnotherReachesMoreThan13TimesAsMuch) {
  const Engine young = engine("young", Instruction::vdpbf16ps, 0.5);
  EXPECT_EQ(chosen({engine("old", Instruction::fp32_fma, 0.64), young}), 1u);
  EXPECT_EQ(chosen({engine("old", Instruction::fp32_fma, 0.66), young}), 0u);
  // Of the same instruction the order alone decides: how they are written is known when they are.
  EXPECT_EQ(chosen({engine("a", Instruction::fp32_fma, 1), engine("b", Instruction::fp32_fma, 0.1)}), 1u);
}

// Not the first that is fast enough: a second one may be faster still by less than the factor.
TEST(Engines, TheFastestOfThoseThatOverruleIsTaken) {
  EXPECT_EQ(chosen({engine("fast", Instruction::fp32_fma, 1), engine("faster", Instruction::fp32_fma, 1.1),
                    engine("young", Instruction::tdpbf16ps, 0)}),
            1u);
}

TEST(Engines, ThoseThatDoNotPayAreForTheirNameAlone) {
  std::vector<Engine> engines = {engine("a", Instruction::fp32_fma, 1),
                                 engine("b", Instruction::fp32_fma, 1)};
  engines[1].pays = false;
  EXPECT_EQ(chosen(engines), 0u);
}

TEST(Engines, TheReasonNamesInstructionsAndRates) {
  const auto choice = choose_engine(Job::dgrad, Element::bf16,
                                    std::vector{engine("a", Instruction::fp32_fma, 0.5)}, kEvenRates);
  EXPECT_EQ(choice.reason, "fp32 multiply-add, 50 GFLOP/s a core");
}

// ---- the tables, on machines whose rates were measured (docs/performance.md), in GFLOP/s a core

std::string nothing_wrong() {
  return "";
}
EngineMachine zen3() {
  return {.isa = IsaSet::up_to(Isa::avx2),
          .rates = {{110, 0, 0}},
          .tiles_trouble = nothing_wrong,
          .onednn_bf16_trouble = nothing_wrong};
}
EngineMachine zen5() {
  EngineMachine machine = zen3();
  machine.isa = IsaSet::up_to(Isa::avx512_bf16);
  machine.rates = {{230, 460, 0}};
  return machine;
}
EngineMachine granite_rapids() {
  EngineMachine machine = zen3();
  machine.isa = IsaSet::up_to(Isa::amx_bf16);
  machine.rates = {{230, 115, 3540}};
  return machine;
}

// "forward dgrad wgrad attention"
std::string engines_on(const EngineMachine& machine, Element element) {
  const MatmulBackends matmul = matmul_backends_on(machine, element);
  return concat(matmul.forward->name, " ", matmul.dgrad->name, " ", matmul.wgrad->name, " ",
                attention_kernel_on(machine, element).kernel->name);
}

bool is_usable(const std::string& name, Element element) {
  return std::ranges::any_of(usable_matmul_backends(element),
                             [&](const MatmulBackend* backend) { return backend->name == name; });
}

TEST(EngineTables, WithoutInstructionsForBf16FactorsAreWidened) {
  EXPECT_EQ(engines_on(zen3(), Element::bf16), "via_fp32 via_fp32 via_fp32 avx2");
}

#ifdef CAVMAE_X86_KERNELS
TEST(EngineTables, Zen5TakesVdpbf16psWhichIsTwiceAsFastAsFp32) {
  if (is_usable("onednn", Element::f32)) {  // this build has it
    EXPECT_EQ(engines_on(zen5(), Element::bf16), "onednn onednn wgrad_gemm avx512_bf16");
  }
  EngineMachine wrong = zen5();
  wrong.onednn_bf16_trouble = [] { return std::string("its products are wrong"); };
  EXPECT_EQ(engines_on(wrong, Element::bf16), "via_fp32 via_fp32 wgrad_gemm avx512_bf16");
  EXPECT_EQ(matmul_backend_warning(wrong),
            "this processor has bf16 products by oneDNN, but they are not used: its products are wrong; bf16 "
            "runs at the speed of fp32");
  EXPECT_EQ(matmul_backend_warning(zen5()), "");
}

// What Linux refuses leaves fp32's multiply-adds: vdpbf16ps runs at half their rate there.
TEST(EngineTables, WhereTilesAreRefusedFactorsAreWidenedAndALineSaysSo) {
  EXPECT_EQ(engines_on(granite_rapids(), Element::bf16), "amx amx amx amx");
  EXPECT_TRUE(matmul_backends_on(granite_rapids(), Element::bf16).forward_by_tiles);
  EXPECT_FALSE(matmul_backends_on(zen5(), Element::bf16).forward_by_tiles);
  EXPECT_EQ(matmul_backend_warning(granite_rapids()), "");
  EngineMachine refused = granite_rapids();
  refused.rates = {{230, 115, 0}};
  refused.tiles_trouble = [] { return std::string("Linux refuses tiles"); };
  EXPECT_EQ(engines_on(refused, Element::bf16), "via_fp32 via_fp32 via_fp32 avx512");
  EXPECT_FALSE(matmul_backends_on(refused, Element::bf16).forward_by_tiles);
  EXPECT_EQ(
      matmul_backend_warning(refused),
      "this processor has tiles (AMX), but they are not used: Linux refuses tiles; bf16 runs at the speed "
      "of fp32");
}
#endif

// Emulated tiles are for tests and for a user's word, on any machine.
TEST(EngineTables, EmulatedTilesAreNeverChosen) {
  EngineMachine slow = zen3();
  slow.isa = IsaSet();
  slow.rates = {{1e-9, 0, 0}};
  EXPECT_EQ(engines_on(slow, Element::bf16), "via_fp32 via_fp32 via_fp32 baseline");
  EXPECT_TRUE(is_usable("emulated_tiles", Element::bf16)) << "they can be named";
}

class UseEngines : public testing::Test {
 protected:
  ~UseEngines() override { use_engines("", Element::bf16); }
};

TEST_F(UseEngines, TakesWhatTheUserNamesAndGivesItBack) {
  const std::string before = engines_in_use(Element::bf16), of_f32 = engines_in_use(Element::f32);
  for (const MatmulBackend* backend : usable_matmul_backends(Element::bf16)) {
    if (backend->wgrad == nullptr) continue;
    use_engines(std::string("wgrad=") + backend->name, Element::bf16);
    EXPECT_STREQ(best_matmul_backends(Element::bf16).wgrad->name, backend->name);
  }
  use_engines(" attention=baseline , forward=via_fp32", Element::bf16);
  EXPECT_STREQ(best_attention_kernel(Element::bf16).name, "baseline");
  EXPECT_THAT(engines_in_use(Element::bf16), HasSubstr("forward=via_fp32,"));
  EXPECT_EQ(engines_in_use(Element::f32), of_f32);
  use_engines("", Element::bf16);
  EXPECT_EQ(engines_in_use(Element::bf16), before);
  // What a run has recorded is taken as it is.
  use_engines(before, Element::bf16);
  EXPECT_EQ(engines_in_use(Element::bf16), before);
}

TEST(EnginesHere, AreThoseThatCanBeNamed) {
  for (const Element element : {Element::f32, Element::bf16})
    for (const Job job : kJobs) {
      const EnginesHere here = engines_here(job, element);
      for (const auto* names : {&here.names, &here.for_tests})
        for (const std::string& name : *names) {
          use_engines(job_name(job) + "=" + name, element);
          EXPECT_THAT(engines_in_use(element), HasSubstr(job_name(job) + "=" + name));
        }
      use_engines("", element);
      const EngineNames in_use = parse_engines(engines_in_use(element));
      EXPECT_THAT(here.names, testing::Contains(in_use.at(job)));
      const bool has_tiles = std::ranges::count(here.names, "amx") > 0;
      EXPECT_EQ(here.refused.empty(),
                has_tiles || element == Element::f32 || !usable_isa().has(Isa::amx_bf16));
    }
  const EnginesHere refused{
      .names = {"a", "b"}, .for_tests = {"c"}, .refused = "amx, since Linux refuses tiles"};
  EXPECT_EQ(refused.text(), "a, b; for tests: c; not amx, since Linux refuses tiles");
}

TEST(MergedEngines, AreThoseOfTheFirstAndOfTheOthersTheSecond) {
  EXPECT_EQ(merged_engines("wgrad=a", " forward = b,wgrad=c , attention=d"), "forward=b,wgrad=a,attention=d");
  EXPECT_EQ(merged_engines("", "dgrad=a"), "dgrad=a");
  EXPECT_EQ(merged_engines("", ""), "");
  EXPECT_THROW(merged_engines("", "abacus"), ConfigError);
}

TEST_F(UseEngines, RefusesWhatThereIsNotAndChangesNothing) {
  const std::string before = engines_in_use(Element::bf16);
  const auto error_of = [](const std::string& text) {
    return message_from<ConfigError>([&] { use_engines(text, Element::bf16); });
  };
  EXPECT_THAT(error_of("forward=abacus"), HasSubstr("has no 'abacus' for forward in bf16; it has via_fp32"));
  EXPECT_THAT(error_of("wgrad=abacus"), HasSubstr("; for tests: emulated_tiles"));
  EXPECT_THAT(error_of("backward=blas"), HasSubstr("there is no job 'backward'"));
  EXPECT_THAT(error_of("onednn"), HasSubstr("'onednn' is not of the form JOB=NAME"));
  EXPECT_EQ(engines_in_use(Element::bf16), before);
}

}  // namespace
}  // namespace cavmae::kernels::engines_test
