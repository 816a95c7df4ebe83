#include "cavmae/eval/shown_reconstruction.h"

#include <limits>

#include "cavmae/features/image_transform.h"

namespace cavmae {
namespace {

constexpr int kHiddenGrey = 132;

torch::Tensor picture_of(const torch::Tensor& video) {  // float [B, 3, S, S]
  return video.defined() ? denormalize_image(video[0].cpu()) : video;
}

torch::Tensor fbank_of(const torch::Tensor& audio, int64_t frames) {  // float [B, T, F]
  return audio.defined() ? audio[0].cpu().narrow(0, 0, frames) : audio;
}

}  // namespace

ShownReconstruction show_reconstruction(const Inpainting& inpainting) {
  ShownReconstruction out;
  out.rebuilt_picture = picture_of(inpainting.rebuilt_video);
  out.original_picture = picture_of(inpainting.original_video);
  if (out.original_picture.defined())
    out.masked_picture =
        out.original_picture.masked_fill(inpainting.mask_video[0].cpu().unsqueeze(-1), kHiddenGrey);
  if (!inpainting.rebuilt_audio.defined()) return out;
  const bool known = inpainting.original_audio.defined();
  const int64_t frames =
      known ? frames_with_sound(inpainting.original_audio[0].cpu()) : inpainting.rebuilt_audio.size(1);
  out.rebuilt_fbank = fbank_of(inpainting.rebuilt_audio, frames);
  out.original_fbank = fbank_of(inpainting.original_audio, frames);
  if (known)
    out.masked_fbank = out.original_fbank.masked_fill(inpainting.mask_audio[0].cpu().narrow(0, 0, frames),
                                                      std::numeric_limits<float>::quiet_NaN());
  return out;
}

int64_t frames_with_sound(const torch::Tensor& fbank) {
  const int64_t frames = fbank.size(0);
  const torch::Tensor last = fbank[frames - 1];
  // Padding is one value in every bin of every frame; silence of a recording is not.
  if (!last.eq(last[0]).all().item<bool>()) return frames;
  const torch::Tensor differs = fbank.ne(last[0]).any(1);  // [T]
  const torch::Tensor sounding = differs.nonzero();
  return sounding.size(0) == 0 ? frames : sounding[sounding.size(0) - 1].item<int64_t>() + 1;
}

}  // namespace cavmae
