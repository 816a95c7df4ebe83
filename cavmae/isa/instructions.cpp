#include "cavmae/isa/instructions.h"

#include <algorithm>
#include <chrono>
#include <iterator>

#include "cavmae/isa/isa.h"
#include "cavmae/isa/tiles.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace cavmae {
namespace {

// Independent sums: two units times the latency of up to six cycles. Unrolled, they stay in registers.
constexpr int kChains = 12;

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

#ifdef CAVMAE_X86_KERNELS

constexpr int kTilesOfSums = 4, kRowsOfTile = 16, kColumnsOfTile = 16, kDepthOfTile = 32;

float run_tiles(int64_t iterations) {
  alignas(64) float sums[kRowsOfTile * kColumnsOfTile] = {};
  NativeTiles::configure(TileShapes::all_whole());
  NativeTiles::zero<0>(), NativeTiles::zero<1>(), NativeTiles::zero<2>(), NativeTiles::zero<3>();
  NativeTiles::zero<4>(), NativeTiles::zero<5>();
  for (int64_t i = 0; i < iterations; ++i) {
    NativeTiles::multiply<0, 4, 5>();
    NativeTiles::multiply<1, 4, 5>();
    NativeTiles::multiply<2, 4, 5>();
    NativeTiles::multiply<3, 4, 5>();
  }
  NativeTiles::store<0>(sums, 64);
  NativeTiles::release();
  return sums[0];
}

#endif

double seconds_on_one_thread(const InstructionLoop& loop, int64_t iterations) {
  const auto start = std::chrono::steady_clock::now();
  volatile const float used = loop.run(iterations);
  static_cast<void>(used);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The best of a few rounds, since the thread may lose the processor during some.
double probe(Instruction instruction) {
  const InstructionLoop loop = instruction_loop(instruction);
  if (loop.run == nullptr) return 0;
  constexpr int kProbes = 5;
  constexpr double kSeconds = 5e-5;
  int64_t iterations = 1 << 6;
  while (seconds_on_one_thread(loop, iterations) < kSeconds) iterations *= 2;
  double best = 0;
  for (int i = 0; i < kProbes; ++i)
    best = std::max(best, static_cast<double>(iterations) / seconds_on_one_thread(loop, iterations));
  return best * loop.operations / 1e9;
}

}  // namespace

std::string instruction_name(Instruction instruction) {
  switch (instruction) {
    case Instruction::fp32_fma:
      return "fp32 multiply-add";
    case Instruction::vdpbf16ps:
      return "vdpbf16ps";
    case Instruction::tdpbf16ps:
      break;
  }
  return "tdpbf16ps";
}

InstructionLoop instruction_loop(Instruction instruction) {
  switch (instruction) {
    case Instruction::fp32_fma:
#if defined(__x86_64__)
      if (usable_isa().has(Isa::avx512)) return {run_avx512, kChains * 16 * 2};
      if (usable_isa().has(Isa::avx2)) return {run_avx2, kChains * 8 * 2};
#endif
      return {run_compiled, kChains * 4 * 2};
    case Instruction::vdpbf16ps:
#if defined(__x86_64__)
      if (usable_isa().has(Isa::avx512_bf16)) return {run_bf16, kChains * 16 * 4};
#endif
      return {};
    case Instruction::tdpbf16ps:
#ifdef CAVMAE_X86_KERNELS
      if (tiles_trouble().empty())
        return {run_tiles, 2.0 * kTilesOfSums * kRowsOfTile * kColumnsOfTile * kDepthOfTile};
#endif
      break;
  }
  return {};
}

const InstructionRates& instruction_rates() {
  static const InstructionRates kRates = [] {
    InstructionRates rates;
    for (const Instruction each : kInstructions) rates.gflops[static_cast<size_t>(each)] = probe(each);
    return rates;
  }();
  return kRates;
}

}  // namespace cavmae
