// Numbers as colours: spectrograms and heat maps. Free functions; safe from several threads.
#pragma once

#include "cavmae/core/torch.h"

namespace cavmae {

// The values between which colours run.
struct ColourRange {
  double low = -1, high = 1;
};

// From the lowest to the highest finite value, a few cells at either end left out of range.
ColourRange colour_range(const torch::Tensor& values);

// float [rows, columns] -> uint8 [rows, columns, 3]: a perceptual map from night blue to a warm white; NaN is
// the grey of what is hidden.
torch::Tensor coloured(const torch::Tensor& values, const ColourRange& range);

// A filterbank as a picture: float [T, F] -> uint8 [F, T, 3], low frequencies below.
torch::Tensor spectrogram_picture(const torch::Tensor& fbank, const ColourRange& range);

// A heat map laid over the greys of a picture of its size. picture: uint8 [h, w, 3]; heat: float [h, w] ->
// uint8 [h, w, 3]
torch::Tensor laid_over(const torch::Tensor& picture, const torch::Tensor& heat, const ColourRange& range);

}  // namespace cavmae
