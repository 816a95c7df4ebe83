#include "cavmae/train/finetuning_task.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "cavmae/eval/classify.h"
#include "cavmae/models/checkpoint.h"
#include "cavmae/nn/profile_range.h"
#include "cavmae/train/pretraining_task.h"
#include "cavmae/train/profile_ranges.h"
#include "cavmae/train/setup.h"
#include "cavmae/train/validation.h"

namespace cavmae {
namespace {

// Share of the rows whose largest logit is that of the largest target.
torch::Tensor accuracy(const torch::Tensor& logits, const torch::Tensor& targets) {
  return (logits.argmax(1) == targets.argmax(1)).to(torch::kFloat32).mean();
}

}  // namespace

// A frozen encoder's output is worth keeping where a clip always looks the same.
EncoderUse encoder_use(const FinetuneOptions& options) {
  if (!options.freeze_encoder) return EncoderUse::train;
  return options.inputs_are_deterministic() ? EncoderUse::freeze_and_keep : EncoderUse::freeze;
}

std::shared_ptr<FineTuningTask> make_fine_tuning_task(const FinetuneOptions& options, const LabelSet& labels,
                                                      const ClipClasses& val_classes) {
  Classifier classifier(options.model, options.head(labels.size()));
  CavMae network = as_network(classifier);
  initialize(network, run_seed(options, SeedUse::parameters));
  classifier->set_precision(options.precision);
  classifier->set_runtime(options.runtime);
  classifier->to(resolve_device(options.runtime.device));
  return std::make_shared<FineTuningTask>(FineTuningSetup{.classifier = classifier,
                                                          .labels = labels,
                                                          .loss = options.loss,
                                                          .head_lr_scale = options.head_lr_scale,
                                                          .encoder = encoder_use(options),
                                                          .val_classes = val_classes});
}

Inputs inputs_of(const Batch& batch, Modalities mode) {
  return {.audio = mode == Modalities::video ? torch::Tensor() : batch.audio,
          .video = mode == Modalities::audio ? torch::Tensor() : batch.video};
}

FineTuningTask::FineTuningTask(FineTuningSetup setup)
    : setup_(std::move(setup)), network_(as_network(setup_.classifier)) {
  if (setup_.encoder == EncoderUse::train) return;
  for (auto& item : network_->named_parameters())
    if (!is_of_head(item.key())) item.value().set_requires_grad(false);
}

std::vector<ParameterGroup> FineTuningTask::parameter_groups() {
  ParameterGroup encoder, head{.parameters = {}, .lr_scale = setup_.head_lr_scale};
  for (const auto& [name, parameter] : named_parameters(network_))
    (is_of_head(name) ? head : encoder).parameters.emplace_back(name, parameter);
  return {encoder, head};
}

// float [B, D], or what a self-attention head takes
torch::Tensor FineTuningTask::pooled(const Batch& batch) {
  const Inputs inputs = inputs_of(batch, setup_.classifier->head_options().mode);
  if (setup_.encoder == EncoderUse::train) return setup_.classifier->pooled(inputs);
  const torch::NoGradGuard no_grad;
  if (setup_.encoder == EncoderUse::freeze) return setup_.classifier->pooled(inputs);
  const auto is_kept = [&](int64_t clip) { return kept_.contains(clip); };
  if (!std::ranges::all_of(batch.indices, is_kept)) {
    const torch::Tensor rows = setup_.classifier->pooled(inputs);
    for (size_t i = 0; i < batch.indices.size(); ++i)
      kept_[batch.indices[i]] = rows[static_cast<int64_t>(i)].clone();
  }
  std::vector<torch::Tensor> rows;
  for (const int64_t clip : batch.indices) rows.push_back(kept_.at(clip));
  return at::stack(rows);
}

StepResult FineTuningTask::training_forward(const Batch& batch, torch::Generator /*generator*/) {
  if (batch.empty()) return {};
  const torch::Tensor logits = setup_.classifier->classify(pooled(batch));
  const ProfileRange range(ranges::kLoss);
  return {.loss = classification_loss(setup_.loss, logits, batch.targets),
          .values = {{"accuracy", accuracy(logits.detach(), batch.targets)}}};
}

std::optional<ValidationResult> FineTuningTask::validate(ClipPass& clips,
                                                         const ValidationOptions& /*options*/) {
  const torch::NoGradGuard no_grad;
  const auto start = std::chrono::steady_clock::now();
  Classifier& classifier = setup_.classifier;
  const torch::Tensor all_targets = multi_hot(setup_.val_classes, setup_.labels.size());  // float [N, C]
  std::vector<torch::Tensor> scores{torch::empty({0, setup_.labels.size()})}, targets = scores;  // [B, C]
  StepMeans sums;
  const PassEnd end = clips.for_each_batch([&](const Batch& batch) {
    const BatchScores out = classify_batch(classifier, inputs_of(batch, classifier->head_options().mode));
    const torch::Tensor wanted = all_targets.index_select(0, torch::tensor(batch.indices, torch::kInt64));
    const int64_t pictures = out.frame_logits.size(1);
    StepResult result;
    result.loss = classification_loss(setup_.loss, out.frame_logits.flatten(0, 1),
                                      wanted.repeat_interleave(pictures, /*dim=*/0));
    result.values = {{"accuracy", accuracy(out.scores, wanted)}};
    sums.add(result, wanted.size(0));
    scores.push_back(out.scores);
    targets.push_back(wanted);
  });
  if (end == PassEnd::interrupted) return std::nullopt;
  World& world = clips.world();
  ValidationResult result;
  result.losses = sum_of_ranks(world, sums).mean();
  result.classification = evaluate_classification(gather_rows(world, torch::cat(scores)),
                                                  gather_rows(world, torch::cat(targets)));
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

void FineTuningTask::save(const std::filesystem::path& path, const InputSpec& spec) {
  save_classifier(path, setup_.classifier, spec, setup_.labels.labels());
}

}  // namespace cavmae
