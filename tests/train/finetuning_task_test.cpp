#include "cavmae/train/finetuning_task.h"

#include <gmock/gmock.h>

#include "tests/train/toy_run.h"

namespace cavmae {
namespace {

// A frozen encoder sees a clip anew wherever something random changes its input.
TEST(EncoderUse, KeepsOutputsOnlyOfInputsThatNothingRandomChanges) {
  FinetuneOptions fixed;
  fixed.model = toy_config();
  fixed.view = ViewOptions{};
  fixed.freeze_encoder = true;
  fixed.targets.label_smoothing = 0.1;  // changes targets alone
  const LabelSet labels(std::vector<ClassLabel>{{"a", "a"}, {"b", "b"}}, "test");
  const auto second_loss = [&](const FinetuneOptions& options) {
    const auto task = make_fine_tuning_task(options, labels, {});
    double loss = 0;
    for (const uint64_t seed : {1, 2}) {  // the same clips, as two epochs read them
      const torch::Generator data = at::detail::createCPUGenerator(seed);
      const Batch batch{.audio = torch::randn({2, 64, 32}, data, torch::kFloat32),
                        .video = torch::randn({2, 3, 32, 32}, data, torch::kFloat32),
                        .targets = torch::eye(2),
                        .indices = {0, 1}};
      const double now = values_of(task->training_forward(batch, data)).at("loss");
      if (seed == 2) {
        EXPECT_EQ(now == loss, options.inputs_are_deterministic());
      }
      loss = now;
    }
    return loss;
  };
  EXPECT_EQ(encoder_use(fixed), EncoderUse::freeze_and_keep);
  const double kept = second_loss(fixed);
  const std::vector<std::pair<const char*, const char*>> random = {
      {"frequency_mask", "8"}, {"time_mask", "16"},       {"mixup", "0.5"},    {"noise", "true"},
      {"roll", "true"},        {"random_window", "true"}, {"frames", "random"}};
  for (const auto& [name, value] : random) {
    FinetuneOptions options = fixed;
    ASSERT_TRUE(set_option(options, name, value));
    EXPECT_EQ(encoder_use(options), EncoderUse::freeze) << name;
    EXPECT_NE(second_loss(options), kept) << name;
  }
  fixed.freeze_encoder = false;
  EXPECT_EQ(encoder_use(fixed), EncoderUse::train);
}

TEST(FineTuningTask, KeepingTheEncodersOutputsChangesNothing) {
  const auto losses = [&](EncoderUse use) {
    Classifier classifier(toy_config(), HeadOptions{.num_classes = 3});
    CavMae network = as_network(classifier);
    initialize(network, 4);
    FineTuningTask task({.classifier = classifier, .encoder = use});
    Adam adam(task.parameter_groups(), {});
    std::vector<double> out;
    auto generator = at::detail::createCPUGenerator(1);
    for (int64_t step = 0; step < 4; ++step) {
      const torch::Generator data = at::detail::createCPUGenerator(10 + step % 2);
      const Batch batch{.audio = torch::randn({2, 64, 32}, data, torch::kFloat32),
                        .video = torch::randn({2, 3, 32, 32}, data, torch::kFloat32),
                        .targets = torch::eye(2, 3),
                        .indices = {2 * (step % 2), 2 * (step % 2) + 1}};
      const StepResult result = task.training_forward(batch, generator);
      result.loss.backward();
      adam.step({.lr = 1e-2});
      adam.release_gradients();
      out.push_back(result.loss.item<double>());
    }
    return out;
  };
  EXPECT_EQ(losses(EncoderUse::freeze), losses(EncoderUse::freeze_and_keep));
  EXPECT_NE(losses(EncoderUse::train), losses(EncoderUse::freeze));
}

TEST(FineTuningTask, TheHeadHasALearningRateOfItsOwn) {
  Classifier classifier(toy_config(), HeadOptions{.num_classes = 3});
  FineTuningTask task({.classifier = classifier, .head_lr_scale = 50});
  const auto groups = task.parameter_groups();
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].lr_scale, 1.0);
  EXPECT_EQ(groups[1].lr_scale, 50.0);
  EXPECT_EQ(groups[1].parameters.size(), 4u);
  EXPECT_EQ(groups[0].parameters.size() + 4, classifier->parameters().size());
}

}  // namespace
}  // namespace cavmae
