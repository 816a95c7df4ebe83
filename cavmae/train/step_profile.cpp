#include "cavmae/train/step_profile.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <numeric>
#include <optional>

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"
#include "cavmae/core/profile_range.h"
#include "cavmae/core/range_timer.h"
#include "cavmae/data/device_feed.h"
#include "cavmae/eval/embed.h"
#include "cavmae/models/classifier.h"
#include "cavmae/models/flops.h"
#include "cavmae/train/optimization_step.h"
#include "cavmae/train/optimizer/adam.h"
#include "cavmae/train/pretraining_task.h"
#include "cavmae/train/profile_ranges.h"
#include "cavmae/train/setup.h"

namespace cavmae {
namespace {

constexpr int64_t kProfiledClasses = 527;  // AudioSet's

std::vector<PartFlops> flops_of(const PretrainOptions& recipe, const ProfileOptions& options) {
  switch (options.mode) {
    case StepKind::pretrain:
      return pretraining_flops(recipe.model, recipe.mask);
    case StepKind::finetune:
      return fine_tuning_flops(recipe.model, kProfiledClasses);
    case StepKind::embed:
      return embedding_flops(recipe.model, options.num_frames);
  }
  throw ConfigError("no such mode");
}

Batch random_batch(const CavMaeConfig& config, const ProfileOptions& options, torch::Generator generator) {
  const int64_t size = options.batch_size;
  const auto normal = [&](torch::IntArrayRef sizes) { return torch::empty(sizes).normal_(0, 1, generator); };
  Batch batch;
  if (config.has_audio()) batch.audio = normal({size, config.num_fbank_frames, config.num_mel_bins});
  if (config.has_video())
    batch.video = options.num_frames == 1
                      ? normal({size, 3, config.image_size, config.image_size})
                      : normal({size, options.num_frames, 3, config.image_size, config.image_size});
  batch.indices.resize(static_cast<size_t>(size));
  std::iota(batch.indices.begin(), batch.indices.end(), 0);
  return batch;
}

// The part that a path of scopes counts as.
std::string part_of(const std::string& path) {
  return path.empty() || path == ranges::kBackward ? "other" : path;
}

}  // namespace

void ProfileOptions::validate() const {
  Problems problems;
  problems.require(batch_size >= 1 && batch_size <= 65536, "batch_size is ", batch_size,
                   "; it must be from 1 to 65536");
  problems.require(num_frames >= 1 && num_frames <= 1000, "num_frames is ", num_frames,
                   "; it must be from 1 to 1000");
  problems.require(num_frames == 1 || mode == StepKind::embed, "num_frames is ", num_frames,
                   ", but a training step sees one picture of each clip; several are for mode embed");
  problems.throw_if_any("this cannot be measured");
}

// What a step does.
struct StepProfiler::State {
  State(const PretrainOptions& recipe, const ProfileOptions& profile)
      : options(profile),
        flops(flops_of(recipe, profile)),
        generator(at::detail::createCPUGenerator(run_seed(recipe, SeedUse::masks))),
        device(resolve_device(recipe.runtime.device)),
        batch(batch_on(random_batch(recipe.model, profile, generator), device)) {}
  virtual ~State() = default;
  virtual void run() = 0;

  ProfileOptions options;
  std::vector<PartFlops> flops;  // of one clip
  torch::Generator generator;
  torch::Device device;
  Batch batch;
};

namespace {

PretrainOptions in_precision(PretrainOptions recipe, Precision precision) {
  recipe.precision = precision;
  return recipe;
}

struct Pretraining : StepProfiler::State {
  Pretraining(const PretrainOptions& recipe, const ProfileOptions& profile)
      : State(recipe, profile),
        training(std::make_shared<PretrainingTask>(make_model(in_precision(recipe, profile.precision)),
                                                   recipe.objective, recipe.mask, World::alone()),
                 recipe.optimizer, generator, World::alone()),
        lr(recipe.schedule.lr),
        group{batch} {}

  void run() override {
    const StepOutcome outcome = training.take(group, lr);
    CAVMAE_CHECK(outcome.not_finite.empty(), outcome.not_finite, " is not finite on random inputs");
  }

  OptimizationStep training;
  double lr;
  std::vector<Batch> group;
};

// As the paper fine-tunes on AudioSet: every weight, binary cross-entropy.
struct FineTuning : StepProfiler::State {
  FineTuning(const PretrainOptions& recipe, const ProfileOptions& profile)
      : State(recipe, profile),
        classifier(recipe.model, HeadOptions{.num_classes = kProfiledClasses}),
        labels(torch::zeros({profile.batch_size, kProfiledClasses})),
        lr(recipe.schedule.lr) {
    CavMae network = as_network(classifier);
    initialize(network, run_seed(recipe, SeedUse::parameters));
    network->set_precision(profile.precision);
    network->set_runtime(recipe.runtime);
    network->to(device);
    NamedTensors parameters;
    for (const auto& item : network->named_parameters()) parameters.emplace_back(item.key(), item.value());
    adam.emplace(std::vector<ParameterGroup>{{.parameters = parameters}}, recipe.optimizer);
    labels.bernoulli_(/*p=*/0.01, generator);
    labels = to_device(labels, device);
  }

  void run() override {
    const torch::Tensor logits = classifier->forward({.audio = batch.audio, .video = batch.video});
    torch::Tensor loss;
    {
      const ProfileRange range(ranges::kLoss);
      loss = at::binary_cross_entropy_with_logits(logits, labels);
    }
    {
      const ProfileRange range(ranges::kBackward);
      loss.backward();
    }
    const ProfileRange range(ranges::kOptimizer);
    adam->step({.lr = lr});
    adam->release_gradients();
  }

  Classifier classifier;
  torch::Tensor labels;  // float [B, C]
  double lr;
  std::optional<Adam> adam;
};

struct Embedding : StepProfiler::State {
  Embedding(const PretrainOptions& recipe, const ProfileOptions& profile)
      : State(recipe, profile), model(make_model(in_precision(recipe, profile.precision))) {}

  void run() override { embed_batch(model, inputs_of(batch, model->config())); }

  CavMae model;
};

std::unique_ptr<StepProfiler::State> make_state(const PretrainOptions& recipe,
                                                const ProfileOptions& options) {
  options.validate();
  switch (options.mode) {
    case StepKind::pretrain:
      return std::make_unique<Pretraining>(recipe, options);
    case StepKind::finetune:
      return std::make_unique<FineTuning>(recipe, options);
    case StepKind::embed:
      return std::make_unique<Embedding>(recipe, options);
  }
  throw ConfigError("no such mode");
}

}  // namespace

StepProfiler::StepProfiler(const PretrainOptions& recipe, const ProfileOptions& options)
    : state_(make_state(recipe, options)) {}

StepProfiler::~StepProfiler() = default;

// What a GPU does comes after the calls that ask for it, so that its parts cannot be timed from here.
StepProfile StepProfiler::step_on_device() {
  using Clock = std::chrono::steady_clock;
  synchronize(state_->device);
  const auto start = Clock::now();
  state_->run();
  synchronize(state_->device);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return {.seconds = seconds,
          .parts = {{.part = "step",
                     .seconds = seconds,
                     .gflop = gflop_per_clip() * static_cast<double>(state_->options.batch_size)}}};
}

StepProfile StepProfiler::step() {
  if (!state_->device.is_cpu()) return step_on_device();
  RangeTimer timer;
  state_->run();
  const std::vector<RangeTime> times = timer.times();
  StepProfile profile;
  const auto part = [&](const std::string& name) -> PartProfile& {
    const auto found = std::ranges::find(profile.parts, name, &PartProfile::part);
    return found != profile.parts.end() ? *found : profile.parts.emplace_back(PartProfile{.part = name});
  };
  for (const PartFlops& counted : state_->flops)
    part(counted.part).gflop =
        (counted.forward + counted.backward) * static_cast<double>(state_->options.batch_size) / 1e9;
  for (const RangeTime& time : times) {
    const double seconds = time.forward_seconds + time.backward_seconds;
    part(part_of(time.path)).seconds += seconds;
    profile.seconds += seconds;
  }
  return profile;
}

double StepProfiler::gflop_per_clip() const {
  return total_flops(state_->flops) / 1e9;
}

StepProfile median_step(std::vector<StepProfile> steps) {
  CAVMAE_CHECK(!steps.empty(), "there is no median of no step");
  const auto middle = steps.begin() + static_cast<int64_t>(steps.size() / 2);
  std::ranges::nth_element(steps, middle, {}, &StepProfile::seconds);
  return *middle;
}

}  // namespace cavmae
