#include "cavmae/train/step_profile.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <optional>

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"
#include "cavmae/core/work_timer.h"
#include "cavmae/eval/embed.h"
#include "cavmae/models/flops.h"
#include "cavmae/train/optimization_step.h"
#include "cavmae/train/pretraining_task.h"
#include "cavmae/train/setup.h"
#include "cavmae/train/work_parts.h"

namespace cavmae {
namespace {

std::vector<PartFlops> flops_of(const PretrainOptions& recipe, const ProfileOptions& options) {
  return options.mode == StepKind::features ? features_flops(recipe.model, options.pictures)
                                            : pretraining_flops(recipe.model, recipe.mask);
}

Batch random_batch(const CavMaeConfig& config, const ProfileOptions& options, torch::Generator generator) {
  const int64_t size = options.batch;
  const auto normal = [&](torch::IntArrayRef sizes) { return torch::empty(sizes).normal_(0, 1, generator); };
  Batch batch;
  if (config.has_audio()) batch.audio = normal({size, config.num_fbank_frames, config.num_mel_bins});
  if (config.has_video())
    batch.video = options.pictures == 1
                      ? normal({size, 3, config.image_size, config.image_size})
                      : normal({size, options.pictures, 3, config.image_size, config.image_size});
  batch.indices.resize(static_cast<size_t>(size));
  std::iota(batch.indices.begin(), batch.indices.end(), 0);
  return batch;
}

// The part that a path of scopes counts as.
std::string part_of(const std::string& path) {
  return path.empty() || path == work::kBackward ? "other" : path;
}

}  // namespace

void ProfileOptions::validate() const {
  Problems problems;
  problems.require(batch >= 1 && batch <= 65536, "batch is ", batch, "; it must be from 1 to 65536");
  problems.require(pictures >= 1 && pictures <= 1000, "pictures is ", pictures,
                   "; it must be from 1 to 1000");
  problems.require(pictures == 1 || mode == StepKind::features, "pictures is ", pictures,
                   ", but a training step sees one of each clip; several are for mode features");
  problems.throw_if_any("this cannot be measured");
}

struct StepProfiler::State {
  State(const PretrainOptions& recipe, const ProfileOptions& profile)
      : options(profile),
        flops(flops_of(recipe, profile)),
        generator(at::detail::createCPUGenerator(run_seed(recipe, SeedUse::masks))) {
    options.validate();
    PretrainOptions in_precision = recipe;
    in_precision.precision = options.dtype;
    model = make_model(in_precision);
    batches.push_back(random_batch(recipe.model, options, generator));
    lr = recipe.schedule.lr;
    if (options.mode == StepKind::pretrain)
      training.emplace(std::make_shared<PretrainingTask>(model, recipe.objective, recipe.mask),
                       recipe.optimizer, generator);
  }

  void run() {
    if (training) {
      const StepOutcome outcome = training->take(batches, lr);
      CAVMAE_CHECK(outcome.not_finite.empty(), outcome.not_finite,
                   " is not finite on random inputs; a lower ", "--lr keeps it so");
    } else {
      embed_batch(model, inputs_of(batches.front(), model->config()));
    }
  }

  ProfileOptions options;
  std::vector<PartFlops> flops;  // of one clip
  torch::Generator generator;
  CavMae model{nullptr};
  std::vector<Batch> batches;  // one
  double lr = 0.0;
  std::optional<OptimizationStep> training;
};

StepProfiler::StepProfiler(const PretrainOptions& recipe, const ProfileOptions& options)
    : state_(std::make_unique<State>(recipe, options)) {}

StepProfiler::~StepProfiler() = default;

StepProfile StepProfiler::step() {
  WorkTimer timer;
  state_->run();
  const std::vector<WorkTime> times = timer.times();
  StepProfile profile;
  const auto part = [&](const std::string& name) -> PartProfile& {
    const auto found = std::ranges::find(profile.parts, name, &PartProfile::part);
    return found != profile.parts.end() ? *found : profile.parts.emplace_back(PartProfile{.part = name});
  };
  for (const PartFlops& counted : state_->flops)
    part(counted.part).gflop =
        (counted.forward + counted.backward) * static_cast<double>(state_->options.batch) / 1e9;
  for (const WorkTime& time : times) {
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
