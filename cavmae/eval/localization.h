// Where the sound is: how near each patch of a picture lies to the whole sound, and each patch of the sound
// to the whole picture. Free functions; the model is read, not changed.
#pragma once

#include "cavmae/core/torch.h"
#include "cavmae/models/cav_mae.h"

namespace cavmae {

// Cosine similarities.
struct Localization {
  torch::Tensor in_pictures;  // float [K, S/P, S/P]: mean-pooled sound against each token of a picture
  torch::Tensor in_sound;     // float [F/P, T/P], low frequencies first: pooled pictures against each token
  torch::Tensor of_pictures;  // float [K]: pooled sound against each pooled picture
};

// Of one clip, on the CPU: its sound, float [T, F], and K pictures, float [K, 3, S, S]. Tokens are those of
// the outputs that the contrastive loss compares, each modality alone through the joint layers; the pictures
// are pooled over their tokens and over K. Throws ConfigError when the network has no such outputs.
Localization localize(CavMae& model, const torch::Tensor& audio, const torch::Tensor& video);

}  // namespace cavmae
