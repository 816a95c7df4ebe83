// What media/ reads and writes as tensors. Free functions.
#pragma once

#include <vector>

#include "cavmae/core/torch.h"
#include "cavmae/picture/picture.h"

namespace cavmae {

// uint8 [H, W, 3]; shares the picture's memory. Undefined where there is none.
torch::Tensor to_tensor(const Picture& picture);
std::vector<torch::Tensor> to_tensors(const std::vector<Picture>& pictures);
// float [n]
torch::Tensor to_tensor(std::vector<float> waveform);

// image: uint8 [H, W, 3] of any strides, whose pixels are copied. Throws Error for another shape or type.
Picture to_picture(const torch::Tensor& image);
// waveform: float [n], likewise.
std::vector<float> to_waveform(const torch::Tensor& waveform);

}  // namespace cavmae
