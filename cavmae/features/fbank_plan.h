// The tables of a filterbank and the computation over them, in one version for every processor and one for
// AVX2. Private to this folder; a plan is immutable, and several threads may use it with their own scratch.
#pragma once

#include <cstdint>
#include <vector>

#include "cavmae/features/mel_bank.h"

namespace cavmae {

// Note [Fourier transform of the filterbank]
// A frame of N real samples is transformed as N/2 complex ones, z[i] = x[2i] + i x[2i+1], by radix-4 steps
// (decimation in frequency, in place; a radix-2 step last where log2(N/2) is odd), which leave Z[k] at
// position[k]. Then X[k] = (E + W O)[k] with E = (Z[k] + conj Z[N/2-k]) / 2, O = (Z[k] - conj Z[N/2-k]) / 2i,
// W = exp(-2 pi i k / N). Several frames are worked on at once, one a SIMD lane, so that nothing has to be
// shuffled inside the transform.
struct FbankPlan {
  int64_t window_size = 0;  // samples in a frame
  int64_t shift = 0;        // samples from frame to frame
  int64_t fft_size = 0;     // N, a power of two from 8 on
  float preemphasis = 0.0f;
  std::vector<float> window;  // [window_size]
  std::vector<float>
      twiddles;  // of the radix-4 steps, the largest first: w^j, w^2j, w^3j (re, im) for each j
  std::vector<int32_t> position;      // [N / 2]
  std::vector<float> split_twiddles;  // W^k (re, im), k <= N / 4
  MelBank mel;                        // weights divided by 4, for 2E and 2O
};

struct FbankPlanOptions {
  int64_t window_size = 400;
  int64_t shift = 160;
  double preemphasis = 0.97;
  double sample_rate_hz = 16000.0;
  int64_t num_mel_bins = 128;
};

FbankPlan make_fbank_plan(const FbankPlanOptions& options);

// One call's work. `scratch`: scratch_floats(plan) floats, aligned to 64 bytes; out: [num_frames, mel bins].
struct FbankTask {
  const float* waveform = nullptr;
  float mean = 0.0f;  // taken from every sample
  int64_t num_frames = 0;
  float* scratch = nullptr;
  float* out = nullptr;
};

int64_t scratch_floats(const FbankPlan& plan);

void compute_fbank_baseline(const FbankPlan& plan, const FbankTask& task);
void compute_fbank_avx2(const FbankPlan& plan, const FbankTask& task);  // as above where not on x86-64

}  // namespace cavmae
