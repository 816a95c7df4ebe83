// Filling in what was hidden: original, masked and rebuilt, as tensors to look at. Free functions; the model
// is read, not changed.
#pragma once

#include "cavmae/core/torch.h"
#include "cavmae/models/cav_mae.h"

namespace cavmae {

// In the model's normalised units. A modality that the network lacks stays undefined.
struct Inpainting {
  torch::Tensor original_audio, masked_audio, rebuilt_audio;  // float [B, T, F]
  torch::Tensor original_video, masked_video, rebuilt_video;  // float [B, 3, S, S]
  torch::Tensor hidden_audio;                                 // bool [B, T, F]; masked_audio is 0 there
  torch::Tensor hidden_video;                                 // bool [B, S, S]; masked_video is 0 there
};

// A network trained on per-patch-normalised targets predicts patches without their mean and deviation; those
// of the original patch are used then. Visible patches are shown as they are. Throws ConfigError when the
// network has no decoder.
Inpainting inpaint(CavMae& model, const Inputs& inputs, const Masks& masks, bool normalized_targets);

}  // namespace cavmae
