#include "cavmae/kernels/engines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/kernels/flash_attention.h"
#include "cavmae/kernels/matmul.h"

#include "tests/support/temporary_folder.h"

namespace cavmae::kernels::engines_test {
namespace {

using testing::HasSubstr;

// Rates are this machine's; what a share is of the same instruction is theirs in proportion.
Engine engine(const std::string& name, Instruction instruction, double efficiency) {
  return {.name = name, .speed = {instruction, efficiency}};
}

size_t chosen(const std::vector<Engine>& engines) {
  return choose_engine(Job::forward, Element::bf16, engines).index;
}

TEST(Engines, TheTablesLastIsTakenUnlessAnotherIsMuchFaster) {
  const double fma = instruction_gflops(Instruction::fp32_fma);
  const Engine young = engine("young", Instruction::vdpbf16ps, 1);
  // Stands for a processor whose vdpbf16ps is slow, or missing altogether.
  EXPECT_EQ(chosen({engine("old", Instruction::fp32_fma, 100 * fma), young}), 0u);
  EXPECT_EQ(chosen({engine("old", Instruction::fp32_fma, 0), young}), 1u);
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
  const auto choice =
      choose_engine(Job::dgrad, Element::bf16, std::vector{engine("a", Instruction::fp32_fma, 1)});
  EXPECT_THAT(choice.reason, HasSubstr("fp32 multiply-add"));
  EXPECT_THAT(choice.reason, HasSubstr("GFLOP/s a core"));
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

TEST_F(UseEngines, RefusesWhatThereIsNotAndChangesNothing) {
  const std::string before = engines_in_use(Element::bf16);
  const auto error_of = [](const std::string& text) {
    return message_from<ConfigError>([&] { use_engines(text, Element::bf16); });
  };
  EXPECT_THAT(error_of("forward=abacus"), HasSubstr("has no 'abacus' for forward in bf16; it has via_fp32"));
  EXPECT_THAT(error_of("backward=blas"), HasSubstr("there is no job 'backward'"));
  EXPECT_THAT(error_of("onednn"), HasSubstr("'onednn' is not of the form JOB=NAME"));
  EXPECT_EQ(engines_in_use(Element::bf16), before);
}

}  // namespace
}  // namespace cavmae::kernels::engines_test
