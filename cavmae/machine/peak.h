// How many operations a second this machine's vector units and tiles can do at most, measured, with what
// usable_isa() leaves. Free functions; run them while nothing else runs.
#pragma once

#include <optional>
#include <string>

namespace cavmae {

// In 1e9 operations a second, a multiplication with its addition being two.
struct MachinePeak {
  double fp32_gflops = 0.0;                // fused multiply-add of fp32
  std::string fp32_instructions;           // "avx2", "avx512f"; "compiled code" where neither is there
  std::optional<double> vdpbf16ps_gflops;  // pairs of bf16, summed in fp32; none without AVX512-BF16
  std::optional<double> tdpbf16ps_gflops;  // tiles of bf16, summed in fp32; none without AMX

  // What factors of bf16 can be multiplied at, widened to fp32 or as they are, and by which instructions.
  double bf16_gflops() const;
  std::string bf16_instructions() const;
};

// The best of several short rounds on all of LibTorch's threads at once, since other programs may take the
// processor during some of them. Takes half a second and more.
MachinePeak measure_peak();

}  // namespace cavmae
