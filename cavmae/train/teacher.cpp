#include "cavmae/train/teacher.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"
#include "cavmae/models/parameter_copy.h"
#include "cavmae/nn/profile_range.h"
#include "cavmae/train/profile_ranges.h"

namespace cavmae {
namespace {

constexpr const char* kSteps = "steps";

// Of the clips at `place`, in the order of a whole batch, whose other clips are other ranks' or bad.
torch::Tensor rank_in_batch(const torch::Tensor& scores, const TeacherOptions& options,
                            const RowsOfBatch& place, torch::Generator& generator) {
  const auto rank = [&](const torch::Tensor& of_batch) {
    return rank_patches(of_batch, options.ranking, options.ranking_temperature, generator);
  };
  if (place.rows.empty() || static_cast<int64_t>(place.rows.size()) == place.batch) return rank(scores);
  const auto rows = torch::tensor(place.rows, torch::kInt64);
  const auto of_batch = torch::zeros({place.batch, scores.size(1)}, torch::kFloat32);
  of_batch.index_copy_(0, rows, scores.detach().to(torch::kCPU, torch::kFloat32));
  return rank(of_batch).index_select(0, rows);
}

StreamMask mask_of(const torch::Tensor& scores, const TeacherOptions& options, double ratio,
                   const RowsOfBatch& place, torch::Generator& generator) {
  const auto order = rank_in_batch(scores, options, place, generator);
  return mask_by_order(to_device(order, scores.device()), ratio);
}

}  // namespace

void TeacherOptions::validate() const {
  Problems problems;
  const double decay = ema_decay.value_or(0.0);
  problems.require(decay >= 0 && decay <= 1, "ema_decay is ", decay, ", it must lie in 0 to 1");
  problems.require(std::isfinite(ranking_temperature) && ranking_temperature > 0, "ranking_temperature is ",
                   ranking_temperature, ", it must be above 0");
  problems.require(ranking_from_step.value_or(0) >= 0, "ranking_from_step is ", ranking_from_step.value_or(0),
                   ", it must be 0 or more");
  problems.require(std::isfinite(distillation_weight) && distillation_weight >= 0, "distillation_weight is ",
                   distillation_weight, ", it must be 0 or more");
  problems.throw_if_any("the teacher cannot be used");
}

Teacher::Teacher(const TeacherOptions& options, int64_t first_ranked_step)
    : options_(options), first_ranked_step_(first_ranked_step) {}

void Teacher::begin(CavMae& network) {
  if (!network_.is_empty()) return;
  network_ = CavMae(network->config().without_decoder());
  network_->to(network->device());
  network_->set_precision(network->precision());
  network_->set_runtime(network->runtime());
  const torch::NoGradGuard no_grad;
  const auto values = network->named_parameters();
  for (auto& item : network_->named_parameters()) {
    item.value().set_requires_grad(false);
    item.value().copy_(values[item.key()]);
  }
}

void Teacher::look(CavMae& network, const Inputs& inputs) {
  begin(network);
  const GlobalParts needed{.scores = ranks(), .tokens = options_.distillation_weight > 0};
  seen_ = needed.scores || needed.tokens ? network_->attend_to_global(inputs, needed) : GlobalAttention();
}

Masks Teacher::masks(double ratio, torch::Generator generator, const RowsOfBatch& place) const {
  Masks masks;
  masks.audio = mask_of(seen_.audio_scores, options_, ratio, place, generator);
  masks.video = mask_of(seen_.video_scores, options_, ratio, place, generator);
  return masks;
}

void Teacher::pass_over(CavMae& network, int64_t batch, torch::Generator generator) {
  begin(network);
  if (!ranks()) return;
  const CavMaeConfig& config = network->config();
  for (const int64_t patches : {config.num_audio_patches(), config.num_video_patches()})
    rank_patches(torch::zeros({batch, patches}), options_.ranking, options_.ranking_temperature, generator);
}

void Teacher::add_distillation(StepResult& result, const Latents& latents) const {
  if (options_.distillation_weight == 0) return;
  const auto distance = [](const torch::Tensor& student, const torch::Tensor& teacher) {
    return 1.0 - at::cosine_similarity(student, teacher, /*dim=*/1).mean();
  };
  const auto value = (distance(latents.global(Stream::audio), seen_.audio_token) +
                      distance(latents.global(Stream::video), seen_.video_token)) /
                     2;
  result.terms.push_back({.name = "distillation", .value = value, .weight = options_.distillation_weight});
}

void Teacher::follow(CavMae& network, const StepCount& steps) {
  begin(network);
  const ProfileRange range(ranges::kOptimizer);
  const torch::NoGradGuard no_grad;
  const double share =
      static_cast<double>(steps.done) / static_cast<double>(std::max<int64_t>(1, steps.total));
  const double rest = (1.0 - options_.ema_decay.value_or(1.0)) *
                      (1.0 + std::cos(std::numbers::pi * std::min(1.0, share))) / 2.0;
  const auto values = network->named_parameters();
  for (auto& item : network_->named_parameters()) item.value().lerp_(values[item.key()], rest);
  steps_ = steps.done;
}

NamedTensors Teacher::state() const {
  NamedTensors state;
  if (network_.is_empty()) return state;
  for (const auto& item : network_->named_parameters()) state.emplace_back(item.key(), item.value());
  state.emplace_back(kSteps, torch::tensor(steps_, torch::kInt64));
  return state;
}

void Teacher::load_state(CavMae& network, const TensorFile& file) {
  begin(network);
  NamedTensors parameters = file.tensors;
  std::erase_if(parameters, [](const auto& item) { return item.first == kSteps; });
  const LoadReport report = copy_parameters(*network_, network_->config(),
                                            {.tensors = parameters, .where = "teacher", .config = {}});
  CAVMAE_CHECK_AS(CheckpointError, report.missing.empty() && report.unexpected.empty(), "the teacher lacks ",
                  report.missing.size(), " parameters and holds ", report.unexpected.size(),
                  " that are not the network's");
  steps_ = file.at(kSteps).item<int64_t>();
}

}  // namespace cavmae
