// How many operations a second this machine's vector units can do at most, measured, with what usable_isa()
// leaves. Free functions; run them while nothing else runs.
#pragma once

#include <optional>
#include <string>

namespace cavmae {

// In 1e9 operations a second, a multiplication with its addition being two.
struct MachinePeak {
  double fp32_gflops = 0.0;           // fused multiply-add of fp32
  std::optional<double> bf16_gflops;  // vdpbf16ps (pairs of bf16, summed in fp32); none without AVX512-BF16
  std::string fp32_instructions;      // "avx2", "avx512f"; "compiled code" where neither is there
};

// The best of several short rounds on all of LibTorch's threads at once, since other programs may take the
// processor during some of them. Takes about half a second.
MachinePeak measure_peak();

}  // namespace cavmae
