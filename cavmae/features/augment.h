// The last steps of the filterbank on its way to the model: SpecAugment, padding, normalisation and what
// pretraining adds to it. Free functions; the caller's generators decide everything.
#pragma once

#include <cstdint>

#include "cavmae/core/random.h"
#include "cavmae/core/torch.h"

namespace cavmae {

struct FinishOptions {
  int64_t num_frames = 1024;  // T: zeros are added behind the last frame, or frames beyond it cut
  double mean = 0.0, std = 1.0;
  Random* noise = nullptr;  // adds uniform noise u * r / 10, u ~ U[0,1) per cell and r ~ U[0,1) per clip
  Random* roll = nullptr;   // rolls circularly in time by an integer drawn from [-T, T)
};

// SpecAugment (Park et al., Interspeech 2019): sets a band of mel bins, or a stretch of frames, to 0. Its
// width w is drawn from [0, `widest`), its start from [0, size - w), both rounded down, as torchaudio's
// FrequencyMasking and TimeMasking draw them; `widest` is at most the size. fbank: float [T, F], in place.
void mask_frequencies(torch::Tensor& fbank, int64_t widest, Random& random);
void mask_times(torch::Tensor& fbank, int64_t widest, Random& random);

// fbank: float [t, F], contiguous, not changed. Returns float [T, F]: (x - mean) / std, the padding
// normalised too, as in the authors' code; then the noise; then the roll.
torch::Tensor finish_fbank(const torch::Tensor& fbank, const FinishOptions& options);

}  // namespace cavmae
