// Augmentation of the filterbank in training. Free functions; the caller's Random decides everything.
#pragma once

#include <cstdint>

#include "cavmae/core/random.h"
#include "cavmae/core/torch.h"

namespace cavmae {

// Adds uniform noise u * r / 10 with u ~ U[0,1) per cell and r ~ U[0,1) per clip. fbank: float [T, F], in
// place.
void add_noise(torch::Tensor& fbank, Random& random);

// SpecAugment (Park et al., Interspeech 2019): sets a band of mel bins, or a stretch of frames, to 0. Its
// width w is drawn from [0, `widest`), its start from [0, size - w), both rounded down, as torchaudio's
// FrequencyMasking and TimeMasking draw them; `widest` is at most the size. fbank: float [T, F], in place.
void mask_frequencies(torch::Tensor& fbank, int64_t widest, Random& random);
void mask_times(torch::Tensor& fbank, int64_t widest, Random& random);

// Rolls circularly in time by an integer drawn from [-T, T). Returns float [T, F].
torch::Tensor roll_time(const torch::Tensor& fbank, Random& random);

}  // namespace cavmae
