// Augmentation of the filterbank in pretraining. Free functions; the caller's Random decides everything.
#pragma once

#include <cstdint>

#include "cavmae/core/random.h"
#include "cavmae/core/torch.h"

namespace cavmae {

// Adds uniform noise u * r / 10 with u ~ U[0,1) per cell and r ~ U[0,1) per clip. fbank: float [T, F], in
// place.
void add_noise(torch::Tensor& fbank, Random& random);

// Rolls circularly in time by an integer drawn from [-T, T). Returns float [T, F].
torch::Tensor roll_time(const torch::Tensor& fbank, Random& random);

}  // namespace cavmae
