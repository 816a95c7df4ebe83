// Filling in what was masked: original, masked and rebuilt, as tensors to look at. Free functions; the model
// is read, not changed.
#pragma once

#include "cavmae/core/torch.h"
#include "cavmae/models/cav_mae.h"

namespace cavmae {

// In the model's normalised units. A modality that the network lacks stays undefined; of one that the clip
// lacks there is what was rebuilt alone.
struct Inpainting {
  torch::Tensor original_audio, masked_audio, rebuilt_audio;  // float [B, T, F]
  torch::Tensor original_video, masked_video, rebuilt_video;  // float [B, 3, S, S]
  torch::Tensor mask_audio;                                   // bool [B, T, F]; masked_audio is 0 there
  torch::Tensor mask_video;                                   // bool [B, S, S]; masked_video is 0 there
};

// A network trained on per-patch-normalised targets predicts patches without their mean and deviation; those
// of the original patch are used then. Visible patches are shown as they are. A modality that is masked
// wholly may be absent from the inputs; its normalised patches are then left as predicted, with mean 0 and
// deviation 1. Throws ConfigError when the network has no decoder.
Inpainting inpaint(CavMae& model, const Inputs& inputs, const Masks& masks, bool normalized_targets);

// How far what was rebuilt lies from the original where it was masked: the mean squared error in the model's
// normalised units; NaN where nothing was masked or there is no original.
struct InpaintingError {
  double audio, video;
};
InpaintingError inpainting_error(const Inpainting& inpainting);

}  // namespace cavmae
