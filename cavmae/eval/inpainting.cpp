#include "cavmae/eval/inpainting.h"

#include <limits>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

constexpr double kVarianceEpsilon = 1e-6;  // that of the training targets

// One modality as patches, [B, L, n].
struct PatchView {
  torch::Tensor masked, rebuilt, mask;
};

// The inverse of the per-patch normalisation x' = (x - mean) / sqrt(var + eps), var unbiased, with the mean
// and variance of `originals`. Both [B, M, n].
torch::Tensor denormalize_patches(const torch::Tensor& predictions, const torch::Tensor& originals) {
  const torch::Tensor mean = originals.mean(-1, /*keepdim=*/true);
  const torch::Tensor variance = originals.var(at::IntArrayRef{-1}, /*unbiased=*/true, /*keepdim=*/true);
  return predictions * (variance + kVarianceEpsilon).sqrt() + mean;
}

// patches: [B, L, n]; predictions: [B, M, n], in the order of mask.masked.
PatchView fill_in(const torch::Tensor& patches, const torch::Tensor& predictions, const StreamMask& mask,
                  bool denormalize) {
  const torch::Tensor where = mask.masked.unsqueeze(-1).expand({-1, -1, patches.size(-1)});  // [B, M, n]
  torch::Tensor values = predictions.to(torch::kFloat32);
  if (denormalize) values = denormalize_patches(values, patches.gather(1, where));
  return {.masked = patches.scatter(1, where, torch::zeros_like(values)),
          .rebuilt = patches.scatter(1, where, values),
          .mask = mask.mask.unsqueeze(-1).expand_as(patches)};
}

// The inputs with zeros for a modality that is absent and masked wholly, so that none of it is read.
Inputs complete(const Inputs& inputs, const Masks& masks, const CavMaeConfig& config) {
  Inputs out = inputs;
  const auto fill = [](torch::Tensor& input, const StreamMask& mask, torch::IntArrayRef shape) {
    if (input.defined() || !mask.keep.defined() || mask.keep.size(1) > 0) return;
    auto sizes = shape.vec();
    sizes.insert(sizes.begin(), mask.keep.size(0));
    input = torch::zeros(sizes, mask.mask.options());
  };
  fill(out.audio, masks.audio, {config.input_frames(), config.num_mel_bins});
  fill(out.video, masks.video, {3, config.image_size, config.image_size});
  return out;
}

double error_where(const torch::Tensor& original, const torch::Tensor& rebuilt, const torch::Tensor& mask) {
  if (!original.defined()) return std::numeric_limits<double>::quiet_NaN();
  const torch::Tensor squares = (rebuilt - original).to(torch::kFloat64).square();
  return squares.masked_select(mask).mean().item<double>();  // NaN where nothing is masked
}

}  // namespace

Inpainting inpaint(CavMae& model, const Inputs& given, const Masks& masks, bool normalized_targets) {
  const CavMaeConfig& config = model->config();
  CAVMAE_CHECK_AS(ConfigError, config.decoder_depth > 0,
                  "this network has no decoder, so it cannot rebuild what is hidden");
  torch::NoGradGuard no_grad;
  const Inputs inputs = inputs_on(given, model->device());
  const Inputs whole = complete(inputs, masks, config);
  const Latents latents = model->encode(whole, masks);
  const Predictions predictions =
      model->decode(latents.patch_tokens(Stream::joint), masks, PredictionScope::masked);
  const int64_t patch = config.patch_size;
  Inpainting out;
  if (whole.audio.defined() && predictions.audio.defined()) {
    const bool known = inputs.audio.defined();
    const PatchView view = fill_in(patchify_audio(whole.audio, patch), predictions.audio, masks.audio,
                                   normalized_targets && known);
    const auto picture = [&](const torch::Tensor& patches) {
      return unpatchify_audio(patches, patch, config.input_frames());
    };
    out.original_audio = inputs.audio;
    if (known) out.masked_audio = picture(view.masked);
    out.rebuilt_audio = picture(view.rebuilt);
    out.mask_audio = picture(view.mask).gt(0.5);
  }
  if (whole.video.defined() && predictions.video.defined()) {
    const bool known = inputs.video.defined();
    const PatchView view = fill_in(patchify_video(whole.video, patch), predictions.video, masks.video,
                                   normalized_targets && known);
    out.original_video = inputs.video;
    if (known) out.masked_video = unpatchify_video(view.masked, patch);
    out.rebuilt_video = unpatchify_video(view.rebuilt, patch);
    out.mask_video = unpatchify_video(view.mask, patch).select(1, 0).gt(0.5);
  }
  return out;
}

InpaintingError inpainting_error(const Inpainting& inpainting) {
  const torch::Tensor mask_video =
      inpainting.mask_video.defined() ? inpainting.mask_video.unsqueeze(1) : torch::Tensor();
  return {.audio = error_where(inpainting.original_audio, inpainting.rebuilt_audio, inpainting.mask_audio),
          .video = error_where(inpainting.original_video, inpainting.rebuilt_video, mask_video)};
}

}  // namespace cavmae
