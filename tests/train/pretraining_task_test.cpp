#include "cavmae/train/pretraining_task.h"

#include <numeric>

#include <gmock/gmock.h>

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"
#include "cavmae/data/device_feed.h"
#include "cavmae/losses/contrastive.h"
#include "cavmae/tensorfile/safetensors.h"
#include "cavmae/train/optimization_step.h"

#include "tests/support/emulated_tiles.h"
#include "tests/support/golden.h"
#include "tests/support/test_device.h"
#include "tests/support/thread_world.h"
#include "tests/support/trained.h"
#include "tests/train/toy_run.h"

namespace cavmae {
namespace {

using ::testing::ElementsAre;
using testing_support::without_key_bias;

Batch toy_batch(uint64_t seed, int64_t clips = 3) {
  const auto generator = at::detail::createCPUGenerator(seed);
  const CavMaeConfig config = toy_config();
  return {.audio =
              torch::randn({clips, config.num_fbank_frames, config.num_mel_bins}, generator, torch::kFloat32),
          .video = torch::randn({clips, 3, config.image_size, config.image_size}, generator, torch::kFloat32),
          .targets = {},
          .indices = std::vector<int64_t>(static_cast<size_t>(clips)),
          .next_position = 0};
}

CavMae toy_model(const CavMaeConfig& config = toy_config()) {
  CavMae model(config);
  initialize(model, 3);
  return model;
}

std::shared_ptr<PretrainingTask> toy_task(const CavMae& model) {
  return std::make_shared<PretrainingTask>(model, ObjectiveOptions{}, MaskOptions{}, World::alone());
}

OptimizationStep toy_step(const OptimizerOptions& optimizer = {}) {
  return {toy_task(toy_model()), optimizer, at::detail::createCPUGenerator(5), World::alone()};
}

std::vector<torch::Tensor> copies(const std::vector<torch::Tensor>& tensors) {
  std::vector<torch::Tensor> out;
  for (const auto& tensor : tensors) out.push_back(tensor.detach().clone());
  return out;
}

std::vector<std::string> keys_of(const MetricValues& values) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : values) keys.push_back(key);
  return keys;
}

// Largest difference over the size of the wanted tensor's largest value.
double relative_difference(const torch::Tensor& got, const torch::Tensor& wanted) {
  const double size = std::max(1e-6, wanted.abs().max().item<double>());
  return (got.cpu() - wanted).abs().max().item<double>() / size;
}

class Trajectory : public ::testing::TestWithParam<Kernels> {};

TEST_P(Trajectory, TwelveAdamStepsAreThoseOfTheReference) {
  const TensorFile golden =
      read_safetensors(std::filesystem::path(CAVMAE_TEST_DATA) / "golden/adam_trajectory.safetensors");
  CavMaeConfig config;
  config.num_fbank_frames = 128;
  config.image_size = 64;
  config.embed_dim = 32;
  config.num_heads = 4;
  config.decoder_embed_dim = 24;
  config.decoder_depth = 2;
  config.decoder_num_heads = 4;
  CavMae model(config);
  {
    const torch::NoGradGuard no_grad;
    for (auto& item : model->named_parameters()) item.value().copy_(golden.at("param." + item.key()));
  }
  RuntimeOptions runtime;
  runtime.kernels = GetParam();
  model->set_runtime(runtime);
  const torch::Device device = testing_support::test_device();
  model->to(device);
  OptimizationStep step(toy_task(model), {}, at::detail::createCPUGenerator(0), World::alone());
  const auto [audio, video] = testing_support::seeded_inputs(golden);
  const Batch on_cpu{
      .audio = audio, .video = video, .targets = {}, .indices = std::vector<int64_t>(8), .next_position = 0};
  const Batch batch = batch_on(on_cpu, device);
  const torch::Tensor& trajectory = golden.at("trajectory");  // [12, 5]
  for (int64_t i = 0; i < trajectory.size(0); ++i) {
    step.generator().set_current_seed(static_cast<uint64_t>(1000 + i));
    const StepMeans means = step.take({batch}, 1e-3).sums.mean();
    int64_t column = 0;
    for (const char* key : {"loss", "loss_audio", "loss_video", "loss_contrastive", "accuracy"}) {
      const auto wanted = trajectory[i][column++].item<double>();
      EXPECT_NEAR(means.values.at(key), wanted, 1e-4 * wanted) << "step " << i << ", " << key;
    }
  }
  int64_t compared = 0;
  for (const auto& item : model->named_parameters()) {
    const torch::Tensor* wanted = golden.find("final." + item.key());  // there are none of the middle layers
    if (wanted == nullptr) continue;
    EXPECT_LT(relative_difference(without_key_bias(item.key(), item.value()),
                                  without_key_bias(item.key(), *wanted)),
              1e-4)
        << item.key();
    EXPECT_LT(relative_difference(item.value().detach(), *wanted), 1e-3) << item.key();
    ++compared;
  }
  EXPECT_GT(compared, 100);
}

INSTANTIATE_TEST_SUITE_P(Kernels, Trajectory, ::testing::Values(Kernels::fused, Kernels::library),
                         [](const auto& kernels) { return enum_name(kernels.param); });

TEST(PretrainingTask, EvaluationDependsOnTheMaskSeedAlone) {
  PretrainingTask task(toy_model(), {}, {}, World::alone());
  const Batch batch = toy_batch(1);
  const Inputs inputs{.audio = batch.audio, .video = batch.video};
  const auto loss = [&](uint64_t seed) { return task.evaluation_forward(inputs, seed).loss.item<double>(); };
  EXPECT_EQ(loss(1), loss(1));
  EXPECT_NE(loss(1), loss(2));
  EXPECT_FALSE(task.evaluation_forward(inputs, 1).loss.requires_grad());
}

TEST(PretrainingTask, EverySystemHasItsPartsOfTheLoss) {
  const Batch batch = toy_batch(2);
  const Inputs inputs{.audio = batch.audio, .video = batch.video};
  CavMaeConfig cav = toy_config(), av_mae = toy_config();
  cav.joint_streams = JointStreams::separate;
  cav.decoder_depth = 0;
  av_mae.joint_streams = JointStreams::concat;

  PretrainingTask contrastive(toy_model(cav), {}, {}, World::alone());
  StepResult result = contrastive.training_forward(inputs, at::detail::createCPUGenerator(1));
  MetricValues values = values_of(result);
  EXPECT_THAT(keys_of(values), ElementsAre("loss", "loss_contrastive", "accuracy"));
  EXPECT_NEAR(values.at("loss"), 0.01 * values.at("loss_contrastive"), 1e-7);
  result.loss.backward();

  PretrainingTask reconstruction(toy_model(av_mae), {}, {}, World::alone());
  result = reconstruction.training_forward(inputs, at::detail::createCPUGenerator(1));
  values = values_of(result);
  EXPECT_THAT(keys_of(values), ElementsAre("loss", "loss_audio", "loss_video"));
  EXPECT_NEAR(values.at("loss"), values.at("loss_audio") + values.at("loss_video"), 1e-6);
  result.loss.backward();

  EXPECT_THAT(message_from<ConfigError>([&] {
                ObjectiveOptions nothing;
                nothing.contrastive_weight = 0;
                PretrainingTask(toy_model(cav), nothing, {}, World::alone());
              }),
              ::testing::HasSubstr("nothing to learn"));
}

TEST(OptimizationStep, AccumulationIsTheMeanOfTheBatchesGradients) {
  const Batch first = toy_batch(10), second = toy_batch(11);
  OptimizationStep accumulated = toy_step();
  const StepOutcome outcome = accumulated.take({first, second}, 1e-2);

  CavMae model = toy_model();
  PretrainingTask task(model, {}, {}, World::alone());
  auto generator = at::detail::createCPUGenerator(5);
  NamedTensors parameters;
  for (const auto& item : model->named_parameters()) parameters.emplace_back(item.key(), item.value());
  Adam adam({{.parameters = parameters}}, {});
  double loss = 0;
  for (const Batch* batch : {&first, &second}) {
    const StepResult result =
        task.training_forward(Inputs{.audio = batch->audio, .video = batch->video}, generator);
    (result.loss / 2).backward();
    loss += result.loss.item<double>() / 2;
  }
  EXPECT_NEAR(outcome.gradient_norm, adam.gradient_norm(), 1e-6 * outcome.gradient_norm);
  EXPECT_NEAR(outcome.sums.mean().values.at("loss"), loss, 1e-6);
  EXPECT_EQ(outcome.sums.clips, 6);
  // One step of Adam is a sign where the gradient is near 0, so the running means are compared.
  adam.step({.lr = 1e-2});
  const NamedTensors wanted = adam.state(), got = accumulated.adam().state();
  ASSERT_EQ(got.size(), wanted.size());
  for (size_t i = 0; i < got.size(); ++i) {
    if (!got[i].first.ends_with(".exp_avg")) continue;
    EXPECT_LT(relative_difference(got[i].second, wanted[i].second), 1e-4) << got[i].first;
  }
}

TEST(OptimizationStep, ClippingScalesTheGradientToTheNorm) {
  OptimizerOptions clipped;
  clipped.weight_decay = 0;
  OptimizationStep free = toy_step(clipped);
  const double norm = free.take({toy_batch(4)}, 1e-3).gradient_norm;
  clipped.clip_gradient_norm = norm / 10;
  OptimizationStep limited = toy_step(clipped);
  EXPECT_EQ(limited.take({toy_batch(4)}, 1e-3).gradient_norm, norm) << "told before clipping";
  const NamedTensors wanted = free.adam().state(), got = limited.adam().state();
  for (size_t i = 0; i < got.size(); ++i) {
    if (!got[i].first.ends_with(".exp_avg")) continue;
    EXPECT_LT(relative_difference(got[i].second, wanted[i].second / 10), 1e-5) << got[i].first;
  }
}

TEST(OptimizationStep, ALossThatIsNotFiniteChangesNothing) {
  OptimizationStep step = toy_step();
  step.take({toy_batch(4)}, 1e-3);
  const auto before = copies(step.task().model()->parameters());
  const torch::Tensor generator_before = step.generator().get_state();
  Batch broken = toy_batch(5);
  broken.audio[1][2][3] = std::numeric_limits<float>::quiet_NaN();
  const StepOutcome outcome = step.take({toy_batch(6), broken}, 1e-3);
  EXPECT_THAT(outcome.not_finite, ::testing::HasSubstr("nan"));
  const auto after = step.task().model()->parameters();
  for (size_t i = 0; i < after.size(); ++i) EXPECT_TRUE(torch::equal(after[i], before[i]));
  EXPECT_TRUE(torch::equal(step.generator().get_state(), generator_before));
}

// A mean over clips and a contrastive loss, of what needs no masks.
class EmbeddingTask : public PretrainingTask {
 public:
  EmbeddingTask(const CavMae& model, World& world) : PretrainingTask(model, {}, {}, world), world_(world) {}

  StepResult training_forward(const Batch& batch, torch::Generator /*generator*/) override {
    const Embeddings out = model()->embed(inputs_of(batch, model()->config()));
    const auto contrastive = contrastive_loss(out.audio, out.video, {.temperature = 0.2}, world_);
    StepResult result;
    result.terms = {{.name = "contrastive", .value = contrastive.loss}};
    result.loss = (out.audio - out.video).square().mean() + contrastive.loss;
    return result;
  }

 private:
  World& world_;
};

TEST(OptimizationStep, RanksWithPartsOfABatchLearnWhatOneLearnsFromTheWhole) {
  constexpr int64_t kSteps = 3, kClips = 12;
  const auto part_of = [](const Batch& batch, const World& world) {
    const int64_t clips = kClips / world.size();
    return Batch{.audio = batch.audio.narrow(0, world.rank() * clips, clips),
                 .video = batch.video.narrow(0, world.rank() * clips, clips),
                 .targets = {},
                 .indices = std::vector<int64_t>(static_cast<size_t>(clips))};
  };
  struct End {
    NamedTensors optimizer;
    std::vector<torch::Tensor> parameters;
    double loss = 0, gradient_norm = 0;
  };
  const auto learn = [&](World& world) {
    OptimizerOptions optimizer;
    optimizer.clip_gradient_norm = 0.1;
    OptimizationStep step(std::make_shared<EmbeddingTask>(toy_model(), world), optimizer,
                          at::detail::createCPUGenerator(5), world);
    End end;
    for (int64_t i = 0; i < kSteps; ++i) {
      const StepOutcome outcome = step.take({part_of(toy_batch(i, kClips), world)}, 1e-4);
      end.loss = outcome.sums.mean().values.at("loss_contrastive");
      end.gradient_norm = outcome.gradient_norm;
    }
    end.optimizer = step.adam().state();
    end.parameters = copies(step.task().model()->parameters());
    return end;
  };
  const End wanted = learn(World::alone());
  for (const int64_t ranks : {2, 3}) {
    std::vector<End> ends(static_cast<size_t>(ranks));
    testing_support::run_ranks(ranks,
                               [&](World& world) { ends[static_cast<size_t>(world.rank())] = learn(world); });
    for (const End& end : ends) {
      EXPECT_NEAR(end.loss, wanted.loss, 1e-4 * wanted.loss);
      EXPECT_NEAR(end.gradient_norm, wanted.gradient_norm, 1e-4 * wanted.gradient_norm);
      ASSERT_EQ(end.optimizer.size(), wanted.optimizer.size());
      for (size_t i = 0; i < end.optimizer.size(); ++i) {
        if (!end.optimizer[i].first.ends_with(".exp_avg")) continue;
        EXPECT_LT(relative_difference(without_key_bias(end.optimizer[i].first, end.optimizer[i].second),
                                      without_key_bias(end.optimizer[i].first, wanted.optimizer[i].second)),
                  1e-3)
            << end.optimizer[i].first;
      }
      for (size_t i = 0; i < end.parameters.size(); ++i)
        EXPECT_TRUE(torch::equal(end.parameters[i], ends[0].parameters[i])) << "ranks part";
    }
  }
}

TEST(OptimizationStep, ALossThatIsNotFiniteOnOneRankChangesNothingOnAny) {
  testing_support::run_ranks(2, [](World& world) {
    OptimizationStep step(
        std::make_shared<PretrainingTask>(toy_model(), ObjectiveOptions{}, MaskOptions{}, world),
        OptimizerOptions{}, at::detail::createCPUGenerator(5), world);
    const auto before = copies(step.task().model()->parameters());
    Batch broken = toy_batch(5);
    if (world.rank() == 1) broken.audio[1][2][3] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_FALSE(step.take({broken, toy_batch(6)}, 1e-3).not_finite.empty());
    const auto after = step.task().model()->parameters();
    for (size_t i = 0; i < after.size(); ++i) EXPECT_TRUE(torch::equal(after[i], before[i]));
    EXPECT_TRUE(step.take({toy_batch(6)}, 1e-3).not_finite.empty()) << "ranks are together still";
  });
}

// The losses of steps on a few batches of patterns that can be learnt.
std::vector<double> loss_curve(const Compute& how, int64_t steps) {
  OptimizationStep step = toy_step();
  step.task().model()->set_precision(how.precision);
  step.task().model()->set_runtime(how.runtime);
  std::vector<Batch> batches;
  for (uint64_t i = 0; i < 4; ++i) {
    batches.push_back(toy_batch(i, 6));
    for (auto* input : {&batches.back().audio, &batches.back().video}) *input = input->cumsum(-1).mul_(0.3);
  }
  std::vector<double> losses;
  for (int64_t i = 0; i < steps; ++i) {
    const StepOutcome outcome = step.take({batches[static_cast<size_t>(i % 4)]}, 1e-3);
    losses.push_back(outcome.sums.mean().values.at("loss"));
  }
  return losses;
}

TEST(PretrainingTask, Bf16LearnsAlongTheCurveOfFp32) {
  constexpr int64_t kSteps = 100, kWindow = 20;
  const auto wanted = loss_curve(Precision::fp32, kSteps), got = loss_curve(Precision::bf16, kSteps);
  const auto mean = [](const std::vector<double>& values, int64_t first) {
    return std::accumulate(values.begin() + first, values.begin() + first + kWindow, 0.0) / kWindow;
  };
  for (int64_t first = 0; first + kWindow <= kSteps; first += kWindow)
    EXPECT_NEAR(mean(got, first), mean(wanted, first), 0.01 * mean(wanted, first)) << "from step " << first;
  EXPECT_LT(mean(wanted, kSteps - kWindow), 0.95 * mean(wanted, 0)) << "nothing was learnt";
}

TEST(PretrainingTask, EmulatedTilesLearnAlongTheCurveOfFp32) {
  const auto wanted = loss_curve(Precision::fp32, 40);
  const testing_support::OnEmulatedTiles on_tiles;
  const auto got = loss_curve(Precision::bf16, 40);
  for (size_t i = 0; i < wanted.size(); ++i) EXPECT_NEAR(got[i], wanted[i], 0.01 * wanted[i]) << "step " << i;
}

// What a GPU computes with, here on the CPU: bf16 activations inside a block.
TEST(PretrainingTask, LibraryKernelsLearnInBf16AlongTheCurveOfFp32) {
  const auto library = loss_curve({Precision::bf16, {.kernels = Kernels::library, .recompute = false}}, 20);
  const auto wanted = loss_curve(Precision::fp32, 20);
  for (size_t i = 0; i < wanted.size(); ++i)
    EXPECT_NEAR(library[i], wanted[i], 0.01 * wanted[i]) << "step " << i;
}

TEST(PretrainingTask, FusedAndPlainKernelsLearnAlike) {
  const auto plain = loss_curve({Precision::fp32, {.kernels = Kernels::plain, .recompute = false}}, 20);
  const auto fused = loss_curve({Precision::fp32, {.kernels = Kernels::fused, .recompute = false}}, 20);
  for (size_t i = 0; i < plain.size(); ++i) EXPECT_NEAR(fused[i], plain[i], 1e-4 * plain[i]) << "step " << i;
}

TEST(PretrainingTask, ComputingAgainChangesNoBit) {
  const auto kept = loss_curve({Precision::bf16, {.kernels = Kernels::fused, .recompute = false}}, 6);
  const auto again = loss_curve({Precision::bf16, {.kernels = Kernels::fused, .recompute = true}}, 6);
  EXPECT_EQ(again, kept);
}

}  // namespace
}  // namespace cavmae
