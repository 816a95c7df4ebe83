#include "cavmae/machine/peak.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "cavmae/core/parallel.h"
#include "cavmae/machine/isa.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace cavmae {
namespace {

// Independent sums: two units times the latency of up to six cycles. Unrolled, they stay in registers.
constexpr int kChains = 12;
constexpr int kRounds = 12;
constexpr double kRoundSeconds = 0.02;

// A loop of multiply-adds in registers. It returns a sum of what it computed, so that none is left out.
struct Loop {
  float (*run)(int64_t iterations) = nullptr;
  double operations = 0.0;  // of one iteration
};

#if defined(__x86_64__)

__attribute__((target("avx2,fma"))) float run_avx2(int64_t iterations) {
  __m256 sums[kChains];
  for (auto& sum : sums) sum = _mm256_set1_ps(0.5F);
  const __m256 a = _mm256_set1_ps(0.999F), b = _mm256_set1_ps(0.001F);
  for (int64_t i = 0; i < iterations; ++i)
#pragma GCC unroll 12
    for (auto& sum : sums) sum = _mm256_fmadd_ps(sum, a, b);
  __m256 total = sums[0];
  for (const auto& sum : sums) total = _mm256_add_ps(total, sum);
  return _mm256_cvtss_f32(total);
}

__attribute__((target("avx512f"))) float run_avx512(int64_t iterations) {
  __m512 sums[kChains];
  for (auto& sum : sums) sum = _mm512_set1_ps(0.5F);
  const __m512 a = _mm512_set1_ps(0.999F), b = _mm512_set1_ps(0.001F);
  for (int64_t i = 0; i < iterations; ++i)
#pragma GCC unroll 12
    for (auto& sum : sums) sum = _mm512_fmadd_ps(sum, a, b);
  __m512 total = sums[0];
  for (const auto& sum : sums) total = _mm512_add_ps(total, sum);
  return _mm512_cvtss_f32(total);
}

__attribute__((target("avx512f,avx512bf16"))) float run_bf16(int64_t iterations) {
  __m512 sums[kChains];
  for (auto& sum : sums) sum = _mm512_set1_ps(0.5F);
  const __m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1e-3F), _mm512_set1_ps(2e-3F));
  for (int64_t i = 0; i < iterations; ++i)
#pragma GCC unroll 12
    for (auto& sum : sums) sum = _mm512_dpbf16_ps(sum, a, a);
  __m512 total = sums[0];
  for (const auto& sum : sums) total = _mm512_add_ps(total, sum);
  return _mm512_cvtss_f32(total);
}

#endif

float run_compiled(int64_t iterations) {
  constexpr int kLanes = 4;
  float sums[kChains][kLanes];
  for (auto& sum : sums) std::fill(std::begin(sum), std::end(sum), 0.5F);
  for (int64_t i = 0; i < iterations; ++i)
#pragma GCC unroll 12
    for (auto& sum : sums)
      for (float& lane : sum) lane = lane * 0.999F + 0.001F;
  float total = 0;
  for (const auto& sum : sums)
    for (const float lane : sum) total += lane;
  return total;
}

// On every thread at once.
double seconds_of(const Loop& loop, int64_t iterations) {
  const int64_t num_threads = at::get_num_threads();
  std::vector<float> results(static_cast<size_t>(num_threads));
  const auto start = std::chrono::steady_clock::now();
  at::parallel_for(0, num_threads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) results[static_cast<size_t>(i)] = loop.run(iterations);
  });
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  volatile const float used = *std::ranges::max_element(results);
  static_cast<void>(used);
  return elapsed.count();
}

double gflops_of(const Loop& loop) {
  int64_t iterations = 1 << 10;
  while (seconds_of(loop, iterations) < kRoundSeconds) iterations *= 2;
  double best = 0;
  for (int round = 0; round < kRounds; ++round)
    best = std::max(best, static_cast<double>(iterations) / seconds_of(loop, iterations));
  return best * loop.operations * static_cast<double>(at::get_num_threads()) / 1e9;
}

}  // namespace

MachinePeak measure_peak() {
  MachinePeak peak;
#if defined(__x86_64__)
  if (usable_isa().has(Isa::avx512)) {
    peak.fp32_instructions = "avx512f";
    peak.fp32_gflops = gflops_of({run_avx512, kChains * 16 * 2});
  } else if (usable_isa().has(Isa::avx2)) {
    peak.fp32_instructions = "avx2";
    peak.fp32_gflops = gflops_of({run_avx2, kChains * 8 * 2});
  }
  if (usable_isa().has(Isa::avx512_bf16)) peak.bf16_gflops = gflops_of({run_bf16, kChains * 16 * 4});
#endif
  if (peak.fp32_instructions.empty()) {
    peak.fp32_instructions = "compiled code";
    peak.fp32_gflops = gflops_of({run_compiled, kChains * 4 * 2});
  }
  return peak;
}

}  // namespace cavmae
