// The network against the authors' PyTorch code: every stage, loss and gradient.
#include <cmath>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/models/toy_model.h"
#include "tests/support/test_device.h"
#include "tests/support/trained.h"

namespace cavmae {
namespace {

using testing_support::golden;
using testing_support::golden_config;
using testing_support::golden_parameters;
using testing_support::IsNear;
using testing_support::Objective;
using testing_support::objective;
using testing_support::test_device;
using testing_support::without_key_bias;

constexpr double kTolerance = 1e-5;

CavMae golden_model(Kernels kernels = Kernels::fused) {
  CavMae model(golden_config());
  testing_support::copy_parameters(model, golden_parameters());
  RuntimeOptions runtime;
  runtime.kernels = kernels;
  model->set_runtime(runtime);
  model->to(test_device());
  return model;
}

Inputs inputs_of(const TensorFile& file) {
  const auto [audio, video] = testing_support::seeded_inputs(file);
  return inputs_on({.audio = audio, .video = video}, test_device());
}

Inputs golden_inputs() {
  return inputs_of(golden("cavmae_norm"));
}

void expect_same_masks(const Masks& masks, const TensorFile& file, const std::string& prefix) {
  EXPECT_TRUE(masks.audio.restore.cpu().equal(file.at(prefix + "restore_audio"))) << prefix;
  EXPECT_TRUE(masks.video.restore.cpu().equal(file.at(prefix + "restore_video"))) << prefix;
  EXPECT_TRUE(masks.audio.mask.cpu().equal(file.at(prefix + "mask_audio"))) << prefix;
  EXPECT_TRUE(masks.video.mask.cpu().equal(file.at(prefix + "mask_video"))) << prefix;
}

Masks draw(CavMae& model, uint64_t seed, const MaskOptions& options = {}) {
  return model->draw_masks(6, options, at::detail::createCPUGenerator(seed));
}

void expect_gradients(CavMae& model, const TensorFile& file) {
  int checked = 0;
  for (const auto& item : model->named_parameters()) {
    const std::string name = "grad." + item.key();
    const auto& gradient = item.value().grad();
    if (file.find(name) == nullptr && file.find(name + ".times_cosines") == nullptr) {
      EXPECT_FALSE(gradient.defined()) << item.key();
      continue;
    }
    testing_support::expect_gradient(gradient, file, name, kTolerance);
    ++checked;
  }
  EXPECT_GT(checked, 300);
}

TEST(GoldenCavMae, ParameterNamesAndOrderAreTheAuthors) {
  std::vector<std::pair<std::string, std::vector<int64_t>>> ours, theirs;
  for (const auto& item : golden_model()->named_parameters())
    ours.emplace_back(item.key(), item.value().sizes().vec());
  for (const auto& [name, tensor] : golden_parameters()) theirs.emplace_back(name, tensor.sizes().vec());
  EXPECT_EQ(ours, theirs);
}

TEST(GoldenCavMae, FixedPositionsAreThoseOfTheCheckpoint) {
  CavMae model(golden_config());
  const auto ours = model->named_parameters();
  for (const auto& [name, tensor] : golden_parameters()) {
    if (name.find("pos_embed") == std::string::npos) continue;
    EXPECT_THAT(ours[name], IsNear(tensor, 1e-7)) << name;
  }
}

TEST(GoldenCavMae, MasksAreBitForBitTheAuthors) {
  auto model = golden_model();
  const auto file = golden("cavmae_norm");
  expect_same_masks(draw(model, 77), file, "out.");
}

TEST(GoldenCavMae, EveryStageAgrees) {
  auto model = golden_model();
  const auto file = golden("cavmae_norm");
  const Masks masks = draw(model, 77);
  const Latents latents = model->encode(golden_inputs(), masks);
  EXPECT_THAT(latents.joint, IsNear(file.at("out.latent"), kTolerance));
  EXPECT_THAT(latents.audio, IsNear(file.at("out.joint_audio"), kTolerance));
  EXPECT_THAT(latents.video, IsNear(file.at("out.joint_video"), kTolerance));
  const Predictions all = model->decode(latents.joint, masks, PredictionScope::all);
  EXPECT_THAT(all.audio, IsNear(file.at("out.pred_audio"), kTolerance));
  EXPECT_THAT(all.video, IsNear(file.at("out.pred_video"), kTolerance));
}

struct GoldenCase {
  const char* file;
  bool normalize_targets;
  PredictionScope scope;
  Kernels kernels = Kernels::fused;
};

class GoldenObjective : public ::testing::TestWithParam<GoldenCase> {};

TEST_P(GoldenObjective, LossesAndGradientsAgree) {
  auto model = golden_model(GetParam().kernels);
  const auto file = golden(GetParam().file);
  const Objective result = objective(model, golden_inputs(), draw(model, 77),
                                     {.normalize_targets = GetParam().normalize_targets}, GetParam().scope);
  EXPECT_THAT(result.audio, IsNear(file.at("out.loss_audio"), kTolerance));
  EXPECT_THAT(result.video, IsNear(file.at("out.loss_video"), kTolerance));
  EXPECT_THAT(result.loss, IsNear(file.at("out.loss"), kTolerance));
  if (const auto* expected = file.find("out.loss_contrastive")) {
    EXPECT_THAT(result.contrastive, IsNear(*expected, kTolerance));
    EXPECT_THAT(result.accuracy, IsNear(file.at("out.accuracy"), kTolerance));
  }
  result.loss.backward();
  expect_gradients(model, file);
}

INSTANTIATE_TEST_SUITE_P(
    All, GoldenObjective,
    ::testing::Values(GoldenCase{"cavmae_norm", true, PredictionScope::masked},
                      GoldenCase{"cavmae_norm", true, PredictionScope::all},
                      GoldenCase{"cavmae_norm", true, PredictionScope::masked, Kernels::library},
                      GoldenCase{"cavmae_norm", true, PredictionScope::masked, Kernels::plain},
                      GoldenCase{"cavmae_pixels", false, PredictionScope::masked}));

TEST(GoldenCavMae, OtherRatiosAndBothDirectionsAgree) {
  auto model = golden_model();
  const auto file = golden("cavmae_ratios_bidirectional");
  const std::map<std::string, MaskOptions> cases = {
      {"ratio_0.5_0.75.", {.mask_ratio_audio = 0.5, .mask_ratio_video = 0.75}},
      {"ratio_0.85_0.6.", {.mask_ratio_audio = 0.85, .mask_ratio_video = 0.6}}};
  for (const auto& [prefix, options] : cases) {
    const Masks masks = draw(model, 78, options);
    expect_same_masks(masks, file, prefix);
    EXPECT_THAT(model->encode(golden_inputs(), masks).joint, IsNear(file.at(prefix + "latent"), kTolerance));
    const Objective result =
        objective(model, golden_inputs(), masks, {.contrastive = {.bidirectional = true}});
    EXPECT_THAT(result.audio, IsNear(file.at(prefix + "loss_audio"), kTolerance)) << prefix;
    EXPECT_THAT(result.video, IsNear(file.at(prefix + "loss_video"), kTolerance)) << prefix;
    EXPECT_THAT(result.contrastive, IsNear(file.at(prefix + "loss_contrastive"), kTolerance)) << prefix;
    EXPECT_THAT(result.accuracy, IsNear(file.at(prefix + "accuracy"), kTolerance)) << prefix;
  }
}

// Kingma and Ba, ICLR 2015, with L2 decay in the gradient, written as plainly as possible.
class PlainAdam {
 public:
  explicit PlainAdam(const std::vector<torch::Tensor>& parameters) {
    for (const auto& p : parameters)
      if (p.requires_grad()) slots_.push_back({p, torch::zeros_like(p), torch::zeros_like(p)});
  }
  void step() {
    const torch::NoGradGuard no_grad;
    ++steps_;
    for (auto& slot : slots_) {
      if (!slot.parameter.grad().defined()) continue;
      const auto gradient = slot.parameter.grad() + 5e-7 * slot.parameter;
      slot.mean.mul_(0.95).add_(gradient, 0.05);
      slot.square.mul_(0.999).addcmul_(gradient, gradient, 0.001);
      const double bias = 1 - std::pow(0.95, steps_), bias_of_square = 1 - std::pow(0.999, steps_);
      slot.parameter.addcdiv_(slot.mean, (slot.square / bias_of_square).sqrt() + 1e-8, -1e-3 / bias);
      slot.parameter.mutable_grad() = torch::Tensor();
    }
  }

 private:
  struct Slot {
    torch::Tensor parameter, mean, square;
  };
  std::vector<Slot> slots_;
  int steps_ = 0;
};

TEST(GoldenCavMae, TwelveStepsOfAdamGoTheAuthorsWay) {
  const auto file = golden("adam_trajectory");
  CavMae model(golden_config());
  NamedTensors start;
  for (const auto& [name, tensor] : file.tensors)
    if (name.starts_with("param.")) start.emplace_back(name.substr(6), tensor);
  testing_support::copy_parameters(model, start);
  model->to(test_device());
  PlainAdam adam(model->parameters());
  const Inputs inputs = inputs_of(file);
  for (int step = 0; step < 12; ++step) {
    const Masks masks = model->draw_masks(8, {}, at::detail::createCPUGenerator(1000 + step));
    const Objective result = objective(model, inputs, masks, {});
    const auto losses =
        torch::stack({result.loss, result.audio, result.video, result.contrastive, result.accuracy});
    EXPECT_THAT(losses, IsNear(file.at("trajectory")[step], 1e-4)) << "step " << step;
    result.loss.backward();
    adam.step();
  }
  for (const auto& item : model->named_parameters()) {
    const auto* expected = file.find("final." + item.key());
    if (expected == nullptr) continue;
    EXPECT_THAT(without_key_bias(item.key(), item.value()),
                IsNear(without_key_bias(item.key(), *expected), 1e-4))
        << item.key();
    EXPECT_THAT(item.value(), IsNear(*expected, 1e-3)) << item.key();
  }
}

}  // namespace
}  // namespace cavmae
