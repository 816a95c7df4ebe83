// The objective of CAV-MAE Sync as a training step computes it, against its authors' code.
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/train/pretraining_task.h"

#include "tests/support/sync_golden.h"

namespace cavmae {
namespace {

using testing_support::IsNear;
using testing_support::kSyncTolerance;
using testing_support::sync_config;
using testing_support::sync_golden_path;

class SyncObjective : public ::testing::TestWithParam<Kernels> {
 protected:
  struct Step {
    StepResult result;
    std::map<std::string, torch::Tensor> gradients;
  };
  Step step(bool global_tokens, int64_t registers, ContrastivePooling pooling) const {
    CavMaeConfig config = sync_config();
    config.global_tokens = global_tokens;
    config.registers = registers;
    config.contrastive_pooling = pooling;
    CavMae model(config);
    RuntimeOptions runtime;
    runtime.kernels = GetParam();
    model->set_runtime(runtime);
    {
      const torch::NoGradGuard no_grad;
      for (auto& item : model->named_parameters()) item.value().copy_(golden_.at("param." + item.key()));
    }
    ObjectiveOptions objective;
    objective.contrastive_weight = 0.1;
    PretrainingTask task(model, objective, {}, World::alone());
    Step out;
    out.result =
        task.training_forward(Inputs{.audio = golden_.at("input.audio"), .video = golden_.at("input.video")},
                              at::detail::createCPUGenerator(77));
    out.result.loss.backward();
    for (const auto& item : model->named_parameters())
      if (item.value().grad().defined()) out.gradients[item.key()] = item.value().grad();
    return out;
  }

  static torch::Tensor term(const Step& step, const std::string& name) {
    for (const LossTerm& term : step.result.terms)
      if (term.name == name) return term.value;
    return {};
  }

  // What the file has of a variant; gradients not of all.
  enum class Gradients { none, compared };
  void expect_is(const Step& step, const std::string& prefix, Gradients gradients) const {
    EXPECT_THAT(step.result.loss, near(prefix + "out.loss"));
    EXPECT_THAT(step.result.values.at(0).second, near(prefix + "out.accuracy"));
    for (const char* name : {"audio", "video", "contrastive"})
      if (const std::string key = prefix + "out.loss_" + name; golden_.find(key) != nullptr) {
        EXPECT_THAT(term(step, name), near(key)) << key;
      }
    int64_t compared = 0;
    for (const auto& [name, gradient] : step.gradients)
      if (const std::string key = prefix + "grad." + name; golden_.find(key) != nullptr) {
        EXPECT_THAT(gradient, near(key)) << key;
        ++compared;
      }
    EXPECT_EQ(compared > 50, gradients == Gradients::compared) << compared;
  }
  ::testing::Matcher<torch::Tensor> near(const std::string& name) const {
    return IsNear(golden_.at(name), kSyncTolerance);
  }

  TensorFile golden_ = read_safetensors(sync_golden_path("sync_pretrain.safetensors"));
};

TEST_P(SyncObjective, IsTheAuthors) {
  expect_is(step(true, 3, ContrastivePooling::global), "", Gradients::compared);
  expect_is(step(true, 3, ContrastivePooling::both), "global_local.", Gradients::compared);
  expect_is(step(false, 0, ContrastivePooling::global), "plain.", Gradients::compared);
  expect_is(step(true, 0, ContrastivePooling::global), "cls_only.", Gradients::none);
  expect_is(step(false, 3, ContrastivePooling::global), "registers_only.", Gradients::none);
}

// The authors' code has the mean of patches beside a global token only together with it: half the sum.
TEST_P(SyncObjective, OfTheMeanIsTheOtherHalfOfBoth) {
  const Step mean = step(true, 3, ContrastivePooling::mean);
  EXPECT_THAT(term(mean, "contrastive"), near("global_local.out.loss_local"));
  EXPECT_THAT(mean.result.values.at(0).second, near("global_local.out.accuracy_local"));
  const torch::Tensor reconstruction = golden_.at("out.loss_audio") + golden_.at("out.loss_video");
  EXPECT_THAT(mean.result.loss,
              IsNear(reconstruction + 0.1 * golden_.at("global_local.out.loss_local"), 2e-5));
  int64_t compared = 0;
  for (const auto& [name, gradient] : mean.gradients) {
    const torch::Tensor* both = golden_.find("global_local.grad." + name);
    if (both == nullptr) continue;
    const torch::Tensor& global = golden_.at("grad." + name);
    EXPECT_THAT(gradient, IsNear(2 * *both - global, 1e-4)) << name;
    ++compared;
  }
  EXPECT_GT(compared, 50);
}

INSTANTIATE_TEST_SUITE_P(All, SyncObjective,
                         ::testing::Values(Kernels::fused, Kernels::library, Kernels::plain));

}  // namespace
}  // namespace cavmae
