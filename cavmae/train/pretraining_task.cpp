#include "cavmae/train/pretraining_task.h"

#include "cavmae/core/error.h"
#include "cavmae/core/profile_range.h"
#include "cavmae/losses/reconstruction.h"
#include "cavmae/models/checkpoint.h"
#include "cavmae/train/profile_ranges.h"
#include "cavmae/train/validation.h"

namespace cavmae {
namespace {

int64_t batch_of(const Inputs& inputs) {
  return inputs.audio.defined() ? inputs.audio.size(0) : inputs.video.size(0);
}

}  // namespace

Inputs inputs_of(const Batch& batch, const CavMaeConfig& config) {
  return {.audio = config.has_audio() ? batch.audio : torch::Tensor(),
          .video = config.has_video() ? batch.video : torch::Tensor()};
}

NamedTensors named_parameters(CavMae& model) {
  NamedTensors out;
  for (const auto& item : model->named_parameters()) out.emplace_back(item.key(), item.value());
  return out;
}

PretrainingTask::PretrainingTask(CavMae model, const ObjectiveOptions& objective, const MaskOptions& masks,
                                 World& world)
    : model_(std::move(model)), objective_(objective), masks_(masks), world_(world) {
  CAVMAE_CHECK_AS(ConfigError, reconstructs() || contrasts(),
                  "nothing to learn: the network has no decoder with a reconstruction_weight above 0 (",
                  objective.reconstruction_weight,
                  "), nor audio and video streams with a contrastive_weight above 0 (",
                  objective.contrastive_weight, ")");
}

bool PretrainingTask::reconstructs() const {
  return model_->config().decoder_depth > 0 && objective_.reconstruction_weight > 0;
}

bool PretrainingTask::contrasts() const {
  const JointStreams streams = model_->config().joint_streams;
  return model_->config().modalities == Modalities::both && objective_.contrastive_weight > 0 &&
         (streams == JointStreams::separate || streams == JointStreams::separate_and_concat);
}

std::vector<ParameterGroup> PretrainingTask::parameter_groups() {
  return {{.parameters = named_parameters(model_), .lr_scale = 1.0}};
}

LossParts PretrainingTask::loss_parts() const {
  const CavMaeConfig& config = model_->config();
  return {.audio = reconstructs() && config.has_audio(),
          .video = reconstructs() && config.has_video(),
          .contrastive = contrasts(),
          .accuracy = contrasts()};
}

StepResult PretrainingTask::training_forward(const Batch& batch, torch::Generator generator) {
  return forward(inputs_of(batch, model_->config()), std::move(generator), world_);
}

std::optional<ValidationResult> PretrainingTask::validate(ClipPass& clips, const ValidationOptions& options) {
  return cavmae::validate(*this, clips, options);
}

void PretrainingTask::save(const std::filesystem::path& path, const InputSpec& spec) {
  save_model(path, model_, spec);
}

StepResult PretrainingTask::training_forward(const Inputs& inputs, torch::Generator generator) {
  return forward(inputs, std::move(generator), world_);
}

StepResult PretrainingTask::evaluation_forward(const Inputs& inputs, uint64_t mask_seed) {
  const torch::NoGradGuard no_grad;
  return forward(inputs, at::detail::createCPUGenerator(mask_seed), World::alone());
}

StepResult PretrainingTask::forward(const Inputs& inputs, torch::Generator generator, World& world) {
  const Masks masks = model_->draw_masks(batch_of(inputs), masks_, std::move(generator));
  const Latents latents = model_->encode(inputs, masks);
  StepResult result;
  if (reconstructs()) add_reconstruction(result, inputs, latents, masks);
  if (contrasts()) add_contrastive(result, latents, world);
  return result;
}

// Gong et al., ICLR 2023: L_r = L_audio + L_video.
void PretrainingTask::add_reconstruction(StepResult& result, const Inputs& inputs, const Latents& latents,
                                         const Masks& masks) {
  const Predictions predictions =
      model_->decode(latents.patch_tokens(Stream::joint), masks, PredictionScope::masked);
  const ProfileRange range(ranges::kLoss);
  const int64_t patch = model_->config().patch_size;
  const auto loss = [&](const torch::Tensor& prediction, const torch::Tensor& patches,
                        const StreamMask& mask) {
    return reconstruction_loss(prediction, masked_targets(patches, mask.masked, objective_));
  };
  torch::Tensor sum;
  if (predictions.audio.defined()) {
    result.loss_audio = loss(predictions.audio, patchify_audio(inputs.audio, patch), masks.audio);
    sum = result.loss_audio;
  }
  if (predictions.video.defined()) {
    result.loss_video = loss(predictions.video, patchify_video(inputs.video, patch), masks.video);
    sum = sum.defined() ? sum + result.loss_video : result.loss_video;
  }
  result.loss = sum * objective_.reconstruction_weight;
}

// Gong et al., ICLR 2023: L = L_r + lambda_c * L_c, L_c being Eq. (7).
void PretrainingTask::add_contrastive(StepResult& result, const Latents& latents, World& world) {
  const ProfileRange range(ranges::kLoss);
  const ContrastiveResult contrastive = contrastive_loss(
      latents.global(Stream::audio), latents.global(Stream::video), objective_.contrastive, world);
  result.loss_contrastive = contrastive.loss;
  result.accuracy = contrastive.accuracy;
  const torch::Tensor weighted = contrastive.loss * objective_.contrastive_weight;
  result.loss = result.loss.defined() ? result.loss + weighted : weighted;
}

}  // namespace cavmae
