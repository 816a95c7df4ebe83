#include "cavmae/train/step_profile.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <numeric>

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"
#include "cavmae/data/device_feed.h"
#include "cavmae/eval/embed.h"
#include "cavmae/features/segments.h"
#include "cavmae/models/flops.h"
#include "cavmae/nn/range_timer.h"
#include "cavmae/train/finetuning_task.h"
#include "cavmae/train/pretraining_task.h"
#include "cavmae/train/profile_ranges.h"
#include "cavmae/train/setup.h"

namespace cavmae {
namespace {

constexpr int64_t kProfiledClasses = 527;  // AudioSet's

std::vector<PartFlops> flops_of(const PretrainOptions& recipe, const ProfileOptions& options) {
  switch (options.mode) {
    case StepKind::pretrain:
      return pretraining_flops(
          recipe.model, recipe.mask, recipe.objective.contrastive_mask_ratio,
          {.ranks = recipe.teacher.wanted(),
           .distills = recipe.teacher.wanted() && recipe.teacher.distillation_weight > 0});
    case StepKind::finetune:
      return fine_tuning_flops(recipe.model, kProfiledClasses);
    case StepKind::embed:
      return embedding_flops(recipe.model, options.num_frames);
  }
  throw ConfigError("no such mode");
}

// AudioSet's classes without their names.
LabelSet profiled_labels() {
  std::vector<ClassLabel> classes(kProfiledClasses);
  for (size_t c = 0; c < classes.size(); ++c) classes[c].mid = classes[c].display_name = concat(c);
  return LabelSet(std::move(classes), "random labels");
}

// fbanks: float [B, L, F] -> float [B, K, T, F]
torch::Tensor segments_of(const torch::Tensor& fbanks, const CavMaeConfig& config, int64_t pictures) {
  const SegmentPlan plan{.num_pictures = pictures,
                         .clip_frames = config.num_fbank_frames,
                         .segment_frames = config.audio_window_frames};
  std::vector<torch::Tensor> segments;
  for (const torch::Tensor& fbank : fbanks.unbind(0))
    for (int64_t i = 0; i < pictures; ++i) segments.push_back(cut_segment(fbank, plan, i));
  return at::stack(segments).view({fbanks.size(0), pictures, config.audio_window_frames, fbanks.size(2)});
}

PretrainOptions in_precision(PretrainOptions recipe, Precision precision) {
  recipe.precision = precision;
  return recipe;
}

torch::Generator mask_generator(const PretrainOptions& recipe) {
  return at::detail::createCPUGenerator(run_seed(recipe, SeedUse::masks));
}

// The part that a path of scopes counts as.
std::string part_of(const std::string& path) {
  return path.empty() || path == ranges::kBackward ? "other" : path;
}

}  // namespace

Batch random_batch(const CavMaeConfig& config, const ProfileOptions& options, torch::Generator generator) {
  const int64_t size = options.batch_size, pictures = options.num_frames;
  const auto normal = [&](torch::IntArrayRef sizes) { return torch::empty(sizes).normal_(0, 1, generator); };
  Batch batch;
  const bool in_segments = config.audio_window_frames > 0 && pictures > 1;
  if (config.has_audio())
    batch.audio =
        normal({size, in_segments ? config.num_fbank_frames : config.input_frames(), config.num_mel_bins});
  if (config.has_audio() && in_segments) batch.audio = segments_of(batch.audio, config, pictures);
  if (config.has_video())
    batch.video = pictures == 1 ? normal({size, 3, config.image_size, config.image_size})
                                : normal({size, pictures, 3, config.image_size, config.image_size});
  batch.indices.resize(static_cast<size_t>(size));
  std::iota(batch.indices.begin(), batch.indices.end(), 0);
  if (options.mode == StepKind::finetune)
    batch.targets = torch::zeros({size, kProfiledClasses}).bernoulli_(/*p=*/0.01, generator);
  return batch;
}

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

FinetuneOptions profiled_fine_tuning(const PretrainOptions& recipe, const ProfileOptions& profile) {
  FinetuneOptions options;
  options.model = recipe.model;
  options.seed = recipe.seed;
  options.optimizer = recipe.optimizer;
  options.runtime = recipe.runtime;
  options.precision = profile.precision;
  return options;
}

ProfiledTraining make_profiled_training(const PretrainOptions& recipe, const ProfileOptions& profile,
                                        World& world) {
  const torch::Generator generator = mask_generator(recipe);
  Batch batch =
      batch_on(random_batch(recipe.model, profile, generator), resolve_device(recipe.runtime.device));
  batch.size = profile.batch_size * world.size();
  for (int64_t row = 0; row < profile.batch_size; ++row)
    batch.rows.push_back(world.rank() * profile.batch_size + row);
  PretrainOptions taught = recipe;
  taught.teacher.ranking_from_step = 0;
  std::shared_ptr<Task> task;
  if (profile.mode == StepKind::finetune)
    task = make_fine_tuning_task(profiled_fine_tuning(recipe, profile), profiled_labels(), {});
  else
    task = std::make_shared<PretrainingTask>(make_model(in_precision(recipe, profile.precision)),
                                             recipe.objective, recipe.mask, make_teacher(taught, 0), world);
  return {.step = OptimizationStep(std::move(task), recipe.optimizer, generator, world,
                                   {.overlap = recipe.overlap}),
          .group = {std::move(batch)},
          .lr = recipe.schedule.lr};
}

// What a step does.
struct StepProfiler::State {
  State(const PretrainOptions& recipe, const ProfileOptions& profile)
      : options(profile), flops(flops_of(recipe, profile)), device(resolve_device(recipe.runtime.device)) {}
  virtual ~State() = default;
  virtual double run() = 0;  // gives the seconds exposed to communication
  virtual CavMae& model() = 0;

  ProfileOptions options;
  std::vector<PartFlops> flops;  // of one clip
  torch::Device device;
};

namespace {

struct Training : StepProfiler::State {
  Training(const PretrainOptions& recipe, const ProfileOptions& profile, World& world)
      : State(recipe, profile), training(make_profiled_training(recipe, profile, world)) {}

  double run() override {
    const StepOutcome outcome = training.step.take(training.group, training.lr);
    CAVMAE_CHECK(outcome.not_finite.empty(), outcome.not_finite, " is not finite on random inputs");
    training.step.task().step_done({.done = 1, .total = 2});
    return outcome.exchange_seconds;
  }
  CavMae& model() override { return training.step.task().model(); }

  ProfiledTraining training;
};

struct Embedding : StepProfiler::State {
  Embedding(const PretrainOptions& recipe, const ProfileOptions& profile)
      : State(recipe, profile),
        network(make_model(in_precision(recipe, profile.precision))),
        batch(batch_on(random_batch(recipe.model, profile, mask_generator(recipe)), device)) {}

  double run() override {
    embed_batch(network, inputs_of(batch, network->config()));
    return 0.0;
  }
  CavMae& model() override { return network; }

  CavMae network;
  Batch batch;
};

std::unique_ptr<StepProfiler::State> make_state(const PretrainOptions& recipe, const ProfileOptions& options,
                                                World& world) {
  options.validate();
  switch (options.mode) {
    case StepKind::pretrain:
    case StepKind::finetune:
      return std::make_unique<Training>(recipe, options, world);
    case StepKind::embed:
      return std::make_unique<Embedding>(recipe, options);
  }
  throw ConfigError("no such mode");
}

}  // namespace

StepProfiler::StepProfiler(const PretrainOptions& recipe, const ProfileOptions& options, World& world)
    : state_(make_state(recipe, options, world)) {}

StepProfiler::~StepProfiler() = default;

CavMae& StepProfiler::model() {
  return state_->model();
}

// What a GPU does comes after the calls that ask for it, so that its parts cannot be timed from here.
StepProfile StepProfiler::step_on_device() {
  using Clock = std::chrono::steady_clock;
  synchronize(state_->device);
  const auto start = Clock::now();
  const double exchange_seconds = state_->run();
  synchronize(state_->device);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return {.seconds = seconds,
          .exchange_seconds = exchange_seconds,
          .parts = {{.part = "step",
                     .seconds = seconds,
                     .gflop = gflop_per_clip() * static_cast<double>(state_->options.batch_size)}}};
}

StepProfile StepProfiler::step() {
  if (!state_->device.is_cpu()) return step_on_device();
  RangeTimer timer;
  StepProfile profile;
  profile.exchange_seconds = state_->run();
  const std::vector<RangeTime> times = timer.times();
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
