// From a picture to the model's input, as Pillow and torchvision do it: antialiased bicubic resize of the
// shorter side (two passes in 8 bits), centre crop, ImageNet mean and deviation. Free functions; safe from
// several threads.
#pragma once

#include <cstdint>

#include "cavmae/core/torch.h"

namespace cavmae {

inline constexpr float kImageNetMean[3] = {0.485f, 0.456f, 0.406f};
inline constexpr float kImageNetStd[3] = {0.229f, 0.224f, 0.225f};

// image: uint8 [H, W, 3] -> uint8 [h, w, 3] whose shorter side is `size_px` (the longer one int(size * long /
// short)).
torch::Tensor resize_shorter_side(const torch::Tensor& image, int64_t size_px);

// image: uint8 [H, W, 3] -> uint8 [S, S, 3]: resized and centre-cropped; only the cropped part is computed.
torch::Tensor resize_and_crop(const torch::Tensor& image, int64_t size_px);

// image: uint8 [H, W, 3] -> uint8 [h, w, 3] for showing: no wider than `most_px` (0: as wide as it is), of
// the same shape but for sides that are multiples of step_px.
torch::Tensor fit_width(const torch::Tensor& image, int64_t most_px, int64_t step_px = 1);

// uint8 [S, S, 3] -> float [3, S, S], (x / 255 - mean) / std.
torch::Tensor normalize_image(const torch::Tensor& image);

// The inverse, for showing: float [3, S, S] -> uint8 [S, S, 3].
torch::Tensor denormalize_image(const torch::Tensor& pixels);

// The version of the resize that this process takes.
const char* resize_kernel_in_use();

}  // namespace cavmae
