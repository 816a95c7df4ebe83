// A reconstruction as people look at it: pictures in 8 bits, sound without its padding. Free functions; safe
// from several threads.
#pragma once

#include <cstdint>
#include <string>

#include "cavmae/core/torch.h"
#include "cavmae/eval/inpainting.h"

namespace cavmae {

// What the clip or the network lacks is undefined.
struct ShownReconstruction {
  std::string id;
  torch::Tensor original_picture, masked_picture, rebuilt_picture;  // uint8 [S, S, 3]; grey where masked
  torch::Tensor original_fbank, masked_fbank, rebuilt_fbank;        // float [t, F]; NaN where masked
};

// Of the first clip of a batch.
ShownReconstruction show_reconstruction(const Inpainting& inpainting);

// How many frames of a normalised filterbank hold sound: those before the constant padding at its end, at
// least one. fbank: float [T, F].
int64_t frames_with_sound(const torch::Tensor& fbank);

}  // namespace cavmae
