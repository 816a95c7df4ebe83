// Log-mel filterbank as Kaldi computes it (and torchaudio.compliance.kaldi.fbank). A Fbank is immutable after
// its construction and may be used by several threads.
#pragma once

#include <cstdint>
#include <memory>

#include "cavmae/core/torch.h"

namespace cavmae {

struct FbankOptions {
  int64_t sample_rate_hz = 16000;
  int64_t num_mel_bins = 128;
  double frame_length_ms = 25.0;
  double frame_shift_ms = 10.0;
  double preemphasis = 0.97;
};

class Fbank {
 public:
  explicit Fbank(const FbankOptions& options = {});
  ~Fbank();
  Fbank(Fbank&&) noexcept;
  Fbank& operator=(Fbank&&) noexcept;

  // waveform: float [n]; its mean is removed first. Returns float [frames, F]; frames is 0 when n is below
  // one window.
  torch::Tensor compute(const torch::Tensor& waveform) const;

 private:
  struct Tables;
  std::unique_ptr<const Tables> tables_;
};

// Pads with zeros at the end or cuts: float [t, F] -> float [T, F].
torch::Tensor fit_frames(const torch::Tensor& fbank, int64_t num_frames);

// The version of the computation that this process takes.
const char* fbank_kernel_in_use();

}  // namespace cavmae
