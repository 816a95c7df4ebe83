// Filling in what was hidden: original, masked and rebuilt, as tensors to look at.
#pragma once

#include "cavmae/core/torch.h"
#include "cavmae/models/cav_mae.h"

namespace cavmae {

struct Inpainting {
  torch::Tensor original_audio, masked_audio,
      rebuilt_audio;  // float [B, T, F], in the model's normalised units
  torch::Tensor original_video, masked_video, rebuilt_video;  // float [B, 3, S, S]
};

// A network trained on per-patch-normalised targets predicts patches without their mean and deviation; those
// of the original patch are used then. Visible patches are shown as they are.
Inpainting inpaint(CavMae& model, const Inputs& inputs, const Masks& masks, bool normalized_targets);

}  // namespace cavmae
