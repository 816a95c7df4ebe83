#include "cavmae/eval/inpainting.h"

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

constexpr double kVarianceEpsilon = 1e-6;  // that of the training targets

// One modality as patches, [B, L, n].
struct PatchView {
  torch::Tensor masked, rebuilt, hidden;
};

// The inverse of the per-patch normalisation x' = (x - mean) / sqrt(var + eps), var unbiased, with the mean
// and variance of `originals`. Both [B, M, n].
torch::Tensor denormalize_patches(const torch::Tensor& predictions, const torch::Tensor& originals) {
  const torch::Tensor mean = originals.mean(-1, /*keepdim=*/true);
  const torch::Tensor variance = originals.var(at::IntArrayRef{-1}, /*unbiased=*/true, /*keepdim=*/true);
  return predictions * (variance + kVarianceEpsilon).sqrt() + mean;
}

// patches: [B, L, n]; predictions: [B, M, n], in the order of mask.hidden.
PatchView fill_in(const torch::Tensor& patches, const torch::Tensor& predictions, const StreamMask& mask,
                  bool normalized_targets) {
  const torch::Tensor where = mask.hidden.unsqueeze(-1).expand({-1, -1, patches.size(-1)});  // [B, M, n]
  torch::Tensor values = predictions.to(torch::kFloat32);
  if (normalized_targets) values = denormalize_patches(values, patches.gather(1, where));
  return {.masked = patches.scatter(1, where, torch::zeros_like(values)),
          .rebuilt = patches.scatter(1, where, values),
          .hidden = mask.mask.unsqueeze(-1).expand_as(patches)};
}

}  // namespace

Inpainting inpaint(CavMae& model, const Inputs& inputs, const Masks& masks, bool normalized_targets) {
  const CavMaeConfig& config = model->config();
  CAVMAE_CHECK_AS(ConfigError, config.decoder_depth > 0,
                  "this network has no decoder, so it cannot rebuild what is hidden");
  torch::NoGradGuard no_grad;
  const Predictions predictions =
      model->decode(model->encode(inputs, masks).joint, masks, PredictionScope::hidden);
  const int64_t patch = config.patch_size;
  Inpainting out;
  if (inputs.audio.defined() && predictions.audio.defined()) {
    const PatchView view =
        fill_in(patchify_audio(inputs.audio, patch), predictions.audio, masks.audio, normalized_targets);
    const auto picture = [&](const torch::Tensor& patches) {
      return unpatchify_audio(patches, patch, inputs.audio.size(1));
    };
    out.original_audio = inputs.audio;
    out.masked_audio = picture(view.masked);
    out.rebuilt_audio = picture(view.rebuilt);
    out.hidden_audio = picture(view.hidden).gt(0.5);
  }
  if (inputs.video.defined() && predictions.video.defined()) {
    const PatchView view =
        fill_in(patchify_video(inputs.video, patch), predictions.video, masks.video, normalized_targets);
    out.original_video = inputs.video;
    out.masked_video = unpatchify_video(view.masked, patch);
    out.rebuilt_video = unpatchify_video(view.rebuilt, patch);
    out.hidden_video = unpatchify_video(view.hidden, patch).select(1, 0).gt(0.5);
  }
  return out;
}

}  // namespace cavmae
