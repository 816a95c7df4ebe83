// Mixing two clips into one, before their features. Free functions; safe from several threads.
#pragma once

#include "cavmae/core/torch.h"

namespace cavmae {

// first: float [n], second: float [m], n >= 1. share * first + (1 - share) * second as float [n], each and
// the sum minus its mean; the second is cut, or followed by zeros (after its mean is gone), to the first's
// length.
torch::Tensor mix_waveforms(const torch::Tensor& first, const torch::Tensor& second, double first_share);

// share * first + (1 - share) * second; float, of one shape.
torch::Tensor mix_pictures(const torch::Tensor& first, const torch::Tensor& second, double first_share);

}  // namespace cavmae
