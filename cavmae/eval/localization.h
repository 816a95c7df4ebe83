// Where the sound is: how near each patch of a picture lies to the whole sound, and each patch of the sound
// to the whole picture. Free functions; the model is read, not changed.
#pragma once

#include "cavmae/core/json.h"
#include "cavmae/core/torch.h"
#include "cavmae/models/cav_mae.h"

namespace cavmae {

// Cosine similarities.
struct Localization {
  torch::Tensor in_pictures;  // float [K, S/P, S/P]: the whole sound against each token of a picture
  // float [L, F/P, T/P], low frequencies first: the whole pictures against each token of a sound
  torch::Tensor in_sounds;
  torch::Tensor of_pictures;  // float [K]: the whole sound against each whole picture
};

// Of one clip, on the CPU: K pictures, float [K, 3, S, S], and its sound, float [T, F] (L = 1), or the
// segment around each picture, float [K, T, F] (L = K), where each picture is compared with its own. Tokens
// are those of the outputs that the contrastive loss compares, each modality alone through the joint layers;
// the whole is the mean of the patches' (Latents::pooled()) with global tokens too, and of pictures with one
// sound its mean over K. Throws ConfigError when the network has no such outputs.
Localization localize(CavMae& model, const torch::Tensor& audio, const torch::Tensor& video);

// "video": of each picture its cosine and rows of patches; "audio": rows of patches, low frequencies first,
// or a list of such, one a picture.
Json to_json(const Localization& found);

}  // namespace cavmae
