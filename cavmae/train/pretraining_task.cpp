#include "cavmae/train/pretraining_task.h"

#include "cavmae/core/error.h"
#include "cavmae/losses/reconstruction.h"
#include "cavmae/models/checkpoint.h"
#include "cavmae/nn/profile_range.h"
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
                     const ObjectiveOptions& objective, World& world, const RowsOfBatch& place) {
  const auto loss_of = [&](const torch::Tensor& audio, const torch::Tensor& video) {
    return contrastive_loss(audio, video, objective.contrastive, world, place);
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

// Of the masks of a whole batch, those of some rows.
StreamMask rows_of(const StreamMask& mask, const torch::Tensor& rows) {
  if (!mask.keep.defined()) return mask;
  return {.keep = mask.keep.index_select(0, rows),
          .masked = mask.masked.index_select(0, rows),
          .restore = mask.restore.index_select(0, rows),
          .mask = mask.mask.index_select(0, rows)};
}

Masks rows_of(const Masks& masks, const std::vector<int64_t>& rows) {
  const torch::Tensor& some = masks.audio.keep.defined() ? masks.audio.keep : masks.video.keep;
  if (rows.empty() || static_cast<int64_t>(rows.size()) == some.size(0)) return masks;
  const torch::Tensor index = to_device(torch::tensor(rows, torch::kInt64), some.device());
  return {.audio = rows_of(masks.audio, index), .video = rows_of(masks.video, index)};
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

MaskOptions PretrainingTask::contrastive_masks() const {
  const double ratio = *objective_.contrastive_mask_ratio;
  return {.mask_ratio_audio = ratio, .mask_ratio_video = ratio};
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
  if (!batch.empty())
    return training_forward(inputs_of(batch, model_->config()), std::move(generator),
                            {.rows = batch.rows, .batch = batch.size});
  // The generator goes the same way on every rank.
  model_->draw_masks(batch.size, masks_, generator);
  if (contrasts() && objective_.contrastive_mask_ratio) {
    if (teacher_) teacher_->pass_over(model_, batch.size, generator);
    if (!teacher_ || !teacher_->ranks()) model_->draw_masks(batch.size, contrastive_masks(), generator);
  }
  join_without_clips();
  return {};
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

StepResult PretrainingTask::training_forward(const Inputs& inputs, torch::Generator generator,
                                             const RowsOfBatch& place) {
  const int64_t batch = place.batch == 0 ? batch_of(inputs) : place.batch;
  const Masks masks = rows_of(model_->draw_masks(batch, masks_, generator), place.rows);
  return forward(inputs, masks,
                 {.place = place, .world = world_, .generator = generator, .use = Use::training});
}

// The other ranks gather the vectors of all.
void PretrainingTask::join_without_clips() {
  if (!contrasts() || !gathers_negatives(objective_.contrastive, world_)) return;
  const torch::NoGradGuard no_grad;
  const torch::Tensor nothing = torch::empty({0, model_->config().embed_dim}, model_->device());
  const int losses = model_->config().contrastive_pooling == ContrastivePooling::both ? 2 : 1;
  for (int i = 0; i < losses; ++i) contrastive_loss(nothing, nothing, objective_.contrastive, world_);
}

StepResult PretrainingTask::evaluation_forward(const Inputs& inputs, uint64_t mask_seed) {
  const torch::NoGradGuard no_grad;
  auto generator = at::detail::createCPUGenerator(mask_seed);
  const Masks masks = model_->draw_masks(batch_of(inputs), masks_, generator);
  return forward(inputs, masks,
                 {.place = {}, .world = World::alone(), .generator = generator, .use = Use::evaluation});
}

// Gong et al., ICLR 2023: L = L_r + lambda_c * L_c. A further loss is a further term.
StepResult PretrainingTask::forward(const Inputs& inputs, const Masks& masks, const Forward& how) {
  StepResult result;
  if (contrasts() && objective_.contrastive_mask_ratio) {
    add_dual_path(result, inputs, masks, how);
    return result;
  }
  const Latents latents = model_->encode(inputs, masks);
  reconstruct(result, inputs, latents, masks);
  const ProfileRange range(ranges::kLoss);
  if (contrasts())
    add_contrastive(result, latents, model_->config().contrastive_pooling, objective_, how.world, how.place);
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
                                    const Forward& how) {
  const Tokens patches = model_->embed_patches(inputs);
  if (reconstructs())
    reconstruct(result, inputs, model_->encode(patches, masks, {.joint = true, .single = false}), masks);
  const bool taught = teacher_ && how.use == Use::training;
  if (taught) teacher_->look(model_, inputs);
  const Masks own =
      taught && teacher_->ranks()
          ? teacher_->masks(*objective_.contrastive_mask_ratio, how.generator, how.place)
          : rows_of(model_->draw_masks(how.place.batch == 0 ? batch_of(inputs) : how.place.batch,
                                       contrastive_masks(), how.generator),
                    how.place.rows);
  const Latents latents = model_->encode(patches, own, {.joint = false, .single = true});
  const ProfileRange range(ranges::kLoss);
  add_contrastive(result, latents, model_->config().contrastive_pooling, objective_, how.world, how.place);
  if (taught) teacher_->add_distillation(result, latents);
  result.loss = weighted_sum(result.terms);
}

}  // namespace cavmae
