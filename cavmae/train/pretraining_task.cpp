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

struct Reconstruction {
  const Inputs& inputs;
  const Masks& masks;
  const Predictions& predictions;
  int64_t patch_size;
  const ObjectiveOptions& objective;
};

// L_r = L_audio + L_video
void add_reconstruction(StepResult& result, const Reconstruction& of) {
  const ProfileRange range(ranges::kLoss);
  const auto add = [&](const char* name, const torch::Tensor& prediction, const torch::Tensor& patches,
                       const StreamMask& mask) {
    result.terms.push_back(
        {.name = name,
         .value = reconstruction_loss(prediction, masked_targets(patches, mask.masked, of.objective)),
         .weight = of.objective.reconstruction_weight});
  };
  if (of.predictions.audio.defined())
    add("audio", of.predictions.audio, patchify_audio(of.inputs.audio, of.patch_size), of.masks.audio);
  if (of.predictions.video.defined())
    add("video", of.predictions.video, patchify_video(of.inputs.video, of.patch_size), of.masks.video);
}

// L_c of Eq. (7)
void add_contrastive(StepResult& result, const Latents& latents, const ObjectiveOptions& objective,
                     World& world) {
  const ContrastiveResult contrastive = contrastive_loss(
      latents.global(Stream::audio), latents.global(Stream::video), objective.contrastive, world);
  result.terms.push_back(
      {.name = "contrastive", .value = contrastive.loss, .weight = objective.contrastive_weight});
  result.values.emplace_back("accuracy", contrastive.accuracy);
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

// Gong et al., ICLR 2023: L = L_r + lambda_c * L_c. A further loss is a further term.
StepResult PretrainingTask::forward(const Inputs& inputs, torch::Generator generator, World& world) {
  const Masks masks = model_->draw_masks(batch_of(inputs), masks_, std::move(generator));
  const Latents latents = model_->encode(inputs, masks);
  StepResult result;
  if (reconstructs()) {
    const Predictions predictions =
        model_->decode(latents.patch_tokens(Stream::joint), masks, PredictionScope::masked);
    add_reconstruction(result, {.inputs = inputs,
                                .masks = masks,
                                .predictions = predictions,
                                .patch_size = model_->config().patch_size,
                                .objective = objective_});
  }
  const ProfileRange range(ranges::kLoss);
  if (contrasts()) add_contrastive(result, latents, objective_, world);
  result.loss = weighted_sum(result.terms);
  return result;
}

}  // namespace cavmae
