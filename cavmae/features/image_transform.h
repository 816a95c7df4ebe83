// From a square picture (picture/resize.h) to the model's input: ImageNet mean and deviation. Free functions;
// safe from several threads.
#pragma once

#include <cstdint>

#include "cavmae/core/torch.h"

namespace cavmae {

inline constexpr float kImageNetMean[3] = {0.485f, 0.456f, 0.406f};
inline constexpr float kImageNetStd[3] = {0.229f, 0.224f, 0.225f};

// uint8 [S, S, 3] -> float [3, S, S], (x / 255 - mean) / std.
torch::Tensor normalize_image(const torch::Tensor& image);

// The inverse, for showing: float [3, S, S] -> uint8 [S, S, 3].
torch::Tensor denormalize_image(const torch::Tensor& pixels);

}  // namespace cavmae
