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

// L_c of Eq. (7), of what contrastive_pooling names.
void add_contrastive(StepResult& result, const Latents& latents, ContrastivePooling pooling,
                     const ObjectiveOptions& objective, World& world) {
  const auto loss_of = [&](const torch::Tensor& audio, const torch::Tensor& video) {
    return contrastive_loss(audio, video, objective.contrastive, world);
  };
  ContrastiveResult contrastive;
  if (pooling != ContrastivePooling::mean)
    contrastive = loss_of(latents.global(Stream::audio), latents.global(Stream::video));
  if (pooling != ContrastivePooling::global) {
    const ContrastiveResult pooled = loss_of(latents.pooled(Stream::audio), latents.pooled(Stream::video));
    const bool both = pooling == ContrastivePooling::both;
    contrastive.loss = both ? (contrastive.loss + pooled.loss) / 2 : pooled.loss;
    contrastive.accuracy = both ? (contrastive.accuracy + pooled.accuracy) / 2 : pooled.accuracy;
  }
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
    : PretrainingTask(std::move(model), objective, masks, nullptr, world) {}

PretrainingTask::PretrainingTask(CavMae model, const ObjectiveOptions& objective, const MaskOptions& masks,
                                 std::unique_ptr<Teacher> teacher, World& world)
    : model_(std::move(model)),
      objective_(objective),
      masks_(masks),
      teacher_(std::move(teacher)),
      world_(world) {
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
  return forward(inputs_of(batch, model_->config()), std::move(generator), world_, Use::training);
}

std::optional<ValidationResult> PretrainingTask::validate(ClipPass& clips, const ValidationOptions& options) {
  return cavmae::validate(*this, clips, options);
}

void PretrainingTask::save(const std::filesystem::path& path, const InputSpec& spec) {
  save_model(path, model_, spec);
}

void PretrainingTask::step_done(const StepCount& steps) {
  if (teacher_) teacher_->follow(model_, steps);
}

NamedTensors PretrainingTask::state() const {
  return teacher_ ? teacher_->state() : NamedTensors();
}

void PretrainingTask::load_state(const TensorFile& file) {
  if (teacher_) teacher_->load_state(model_, file);
}

StepResult PretrainingTask::training_forward(const Inputs& inputs, torch::Generator generator) {
  return forward(inputs, std::move(generator), world_, Use::training);
}

StepResult PretrainingTask::evaluation_forward(const Inputs& inputs, uint64_t mask_seed) {
  const torch::NoGradGuard no_grad;
  return forward(inputs, at::detail::createCPUGenerator(mask_seed), World::alone(), Use::evaluation);
}

// Gong et al., ICLR 2023: L = L_r + lambda_c * L_c. A further loss is a further term.
StepResult PretrainingTask::forward(const Inputs& inputs, torch::Generator generator, World& world, Use use) {
  const Masks masks = model_->draw_masks(batch_of(inputs), masks_, generator);
  StepResult result;
  if (contrasts() && objective_.contrastive_mask_ratio) {
    add_dual_path(result, inputs, masks, std::move(generator), world, use);
    return result;
  }
  const Latents latents = model_->encode(inputs, masks);
  reconstruct(result, inputs, latents, masks);
  const ProfileRange range(ranges::kLoss);
  if (contrasts()) add_contrastive(result, latents, model_->config().contrastive_pooling, objective_, world);
  result.loss = weighted_sum(result.terms);
  return result;
}

void PretrainingTask::reconstruct(StepResult& result, const Inputs& inputs, const Latents& latents,
                                  const Masks& masks) {
  if (!reconstructs()) return;
  const Predictions predictions =
      model_->decode(latents.patch_tokens(Stream::joint), masks, PredictionScope::masked);
  add_reconstruction(result, {.inputs = inputs,
                              .masks = masks,
                              .predictions = predictions,
                              .patch_size = model_->config().patch_size,
                              .objective = objective_});
}

// Note [Dual path]: both passes see the same embedded patches; the first computes the joint stream alone and
// the second the single ones.
void PretrainingTask::add_dual_path(StepResult& result, const Inputs& inputs, const Masks& masks,
                                    torch::Generator generator, World& world, Use use) {
  const Tokens patches = model_->embed_patches(inputs);
  if (reconstructs())
    reconstruct(result, inputs, model_->encode(patches, masks, {.joint = true, .single = false}), masks);
  const double ratio = *objective_.contrastive_mask_ratio;
  const MaskOptions contrastive{.mask_ratio_audio = ratio, .mask_ratio_video = ratio};
  const bool taught = teacher_ && use == Use::training;
  if (taught) teacher_->look(model_, inputs);
  const Masks own = taught && teacher_->ranks()
                        ? teacher_->masks(ratio, std::move(generator))
                        : model_->draw_masks(batch_of(inputs), contrastive, std::move(generator));
  const Latents latents = model_->encode(patches, own, {.joint = false, .single = true});
  const ProfileRange range(ranges::kLoss);
  add_contrastive(result, latents, model_->config().contrastive_pooling, objective_, world);
  if (taught) teacher_->add_distillation(result, latents);
  result.loss = weighted_sum(result.terms);
}

}  // namespace cavmae
