// The tables of a filterbank and the computation over them, in a version for every processor and others for
// what some have. Private to this folder; a plan is immutable, and several threads may use it with their own
// scratch.
#pragma once

#include <cstdint>
#include <vector>

#include "cavmae/features/mel_bank.h"
#include "cavmae/isa/kernel_table.h"

namespace cavmae {

// Note [Rounding of the filterbank]
// Beside a loud tone, the quiet bins of a frame hold little but rounding errors of single precision, and they
// are as visible in the logarithm as the tone: an exact computation differs from torchaudio's, on which the
// models were trained, by 2e-3 there. So the steps up to the power spectrum round as torchaudio's do: the
// frame's mean is summed in PyTorch's order (32 running sums), the window is PyTorch's own, products and sums
// are never fused, and the Fourier transform is the real-valued radix-4 one in decimation in time: transforms
// of length m, in the order re 0, re 1, im 1, re 2, im 2, ..., re m/2, are joined by four to one of length
// 4m, starting from single samples; a last step joins two where the size is no power of four. Several frames
// are worked on at once, one a SIMD lane, so nothing is shuffled inside the transform.
struct FbankPlan {
  int64_t window_size = 0;  // samples in a frame
  int64_t shift = 0;        // samples from frame to frame
  int64_t fft_size = 0;     // a power of two from 8 on
  float preemphasis = 0.0f;
  std::vector<float> window;    // [window_size]
  std::vector<float> twiddles;  // of each step of m -> r m in turn: exp(2 pi i j q / r m) (re, im), j = 1 to
                                // m/2 - 1, q = 1 to r - 1
  MelBank mel;
};

struct FbankPlanOptions {
  std::vector<float> window;  // its length is the frame's
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
void compute_fbank_avx2(const FbankPlan& plan, const FbankTask& task);  // where CAVMAE_X86_KERNELS

using FbankKernel = KernelVersion<void (*)(const FbankPlan&, const FbankTask&)>;
std::vector<const FbankKernel*> usable_fbank_kernels();
const FbankKernel& best_fbank_kernel();

}  // namespace cavmae
