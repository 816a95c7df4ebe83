// The filterbank over SIMD lanes; included once by each version's .cpp, which sets the processor's features,
// CAVMAE_LANES and CAVMAE_FBANK_FUNCTION before. See Note [Fourier transform of the filterbank].

#include <algorithm>
#include <cstdint>
#include <utility>

#include "cavmae/features/fbank_plan.h"

#define CAVMAE_INLINE inline __attribute__((always_inline))

namespace cavmae {
namespace {

constexpr int kLanes = CAVMAE_LANES;
using V = float __attribute__((vector_size(kLanes * sizeof(float))));
using VInt = int32_t __attribute__((vector_size(kLanes * sizeof(int32_t))));
using VLoose = float __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));

CAVMAE_INLINE V load(const float* source) {
  return *reinterpret_cast<const VLoose*>(source);
}
CAVMAE_INLINE void store(float* target, V value) {
  *reinterpret_cast<VLoose*>(target) = value;
}

// One step of a transposition: lanes are exchanged between rows that are Step apart.
template <int Step, int... Lane>
CAVMAE_INLINE void exchange(V& a, V& b, std::integer_sequence<int, Lane...>) {
  const V low = __builtin_shufflevector(a, b, ((Lane & Step) == 0 ? Lane : Lane - Step + kLanes)...);
  const V high = __builtin_shufflevector(a, b, ((Lane & Step) == 0 ? Lane + Step : Lane + kLanes)...);
  a = low;
  b = high;
}

template <int Step>
CAVMAE_INLINE void exchange_rows(V (&rows)[kLanes]) {
  for (int i = 0; i < kLanes; ++i)
    if ((i & Step) == 0) exchange<Step>(rows[i], rows[i + Step], std::make_integer_sequence<int, kLanes>());
}

CAVMAE_INLINE void transpose(V (&rows)[kLanes]) {
  exchange_rows<1>(rows);
  exchange_rows<2>(rows);
  if constexpr (kLanes == 8) exchange_rows<4>(rows);
}

// ln(x) for normal x > 0: x = m 2^e with m in [1/sqrt 2, sqrt 2), ln m = 2 artanh s with s = (m-1)/(m+1).
CAVMAE_INLINE V natural_log(V x) {
  constexpr int32_t kRootHalf = 0x3f3504f3;
  const VInt bits = reinterpret_cast<VInt>(x);
  const VInt exponent = (bits - kRootHalf) >> 23;
  const V m = reinterpret_cast<V>(bits - (exponent << 23));
  const V e = __builtin_convertvector(exponent, V);
  const V s = (m - 1.0f) / (m + 1.0f);
  const V s2 = s * s;
  const V tail = s2 * (0.66666667f + s2 * (0.4f + s2 * (0.28571430f + s2 * 0.22222222f)));
  return e * 0.693359375f + (s * (2.0f + tail) + e * -2.12194440e-4f);
}

// Lane l of samples[n] becomes sample n of frame l, less `mean`.
CAVMAE_INLINE void gather_frames(const float* const (&starts)[kLanes], int64_t count, float mean,
                                 V* samples) {
  int64_t n = 0;
  for (; n + kLanes <= count; n += kLanes) {
    V rows[kLanes];
    for (int l = 0; l < kLanes; ++l) rows[l] = load(starts[l] + n) - mean;
    transpose(rows);
    for (int l = 0; l < kLanes; ++l) samples[n + l] = rows[l];
  }
  for (; n < count; ++n)
    for (int l = 0; l < kLanes; ++l) samples[n][l] = starts[l][n] - mean;
}

// Without its own mean, pre-emphasised, windowed and padded with zeros.
CAVMAE_INLINE void condition(const FbankPlan& plan, V* samples) {
  V sum = {};
  for (int64_t n = 0; n < plan.window_size; ++n) sum += samples[n];
  const V mean = sum / static_cast<float>(plan.window_size);
  V previous = samples[0] - mean;
  for (int64_t n = 0; n < plan.window_size; ++n) {
    const V sample = samples[n] - mean;
    samples[n] = (sample - plan.preemphasis * previous) * plan.window[static_cast<size_t>(n)];
    previous = sample;
  }
  for (int64_t n = plan.window_size; n < plan.fft_size; ++n) samples[n] = V{};
}

struct Complex {
  V re, im;
};
CAVMAE_INLINE Complex operator+(const Complex& a, const Complex& b) {
  return {a.re + b.re, a.im + b.im};
}
CAVMAE_INLINE Complex operator-(const Complex& a, const Complex& b) {
  return {a.re - b.re, a.im - b.im};
}
CAVMAE_INLINE Complex rotate(const Complex& a, const float* root) {
  return {a.re * root[0] - a.im * root[1], a.re * root[1] + a.im * root[0]};
}

// Four points that are `quarter` apart; roots: w^j, w^2j, w^3j.
template <bool kRotate>
CAVMAE_INLINE void radix4(Complex* z, int64_t quarter, const float* roots) {
  const Complex a = z[0], b = z[quarter], c = z[2 * quarter], d = z[3 * quarter];
  const Complex ac = a + c, a_c = a - c, bd = b + d, b_d = b - d;
  const Complex turned{b_d.im, -b_d.re};  // -i (b - d)
  z[0] = ac + bd;
  z[quarter] = kRotate ? rotate(a_c + turned, roots) : a_c + turned;
  z[2 * quarter] = kRotate ? rotate(ac - bd, roots + 2) : ac - bd;
  z[3 * quarter] = kRotate ? rotate(a_c - turned, roots + 4) : a_c - turned;
}

CAVMAE_INLINE void transform(const FbankPlan& plan, Complex* z) {
  const int64_t half = plan.fft_size / 2;
  const float* roots = plan.twiddles.data();
  int64_t size = half;
  for (; size >= 4; size /= 4) {
    const int64_t quarter = size / 4;
    for (int64_t block = 0; block < half; block += size) radix4<false>(z + block, quarter, roots);
    for (int64_t j = 1; j < quarter; ++j)
      for (int64_t block = 0; block < half; block += size)
        radix4<true>(z + block + j, quarter, roots + 6 * j);
    roots += 6 * quarter;
  }
  if (size != 2) return;
  for (int64_t block = 0; block < half; block += 2) {
    const Complex a = z[block], b = z[block + 1];
    z[block] = a + b;
    z[block + 1] = a - b;
  }
}

// power[k] = 4 |X[k]|^2 for k < N / 2.
CAVMAE_INLINE void power_spectrum(const FbankPlan& plan, const Complex* z, V* power) {
  const int64_t half = plan.fft_size / 2;
  const Complex dc = z[0];
  power[0] = 4.0f * (dc.re + dc.im) * (dc.re + dc.im);
  for (int64_t k = 1; k <= half / 2; ++k) {
    const Complex a = z[plan.position[static_cast<size_t>(k)]];
    const Complex b = z[plan.position[static_cast<size_t>(half - k)]];
    const Complex even{a.re + b.re, a.im - b.im};
    const Complex odd = rotate({a.im + b.im, b.re - a.re}, &plan.split_twiddles[static_cast<size_t>(2 * k)]);
    const Complex low = even + odd, high = even - odd;
    power[k] = low.re * low.re + low.im * low.im;
    power[half - k] = high.re * high.re + high.im * high.im;
  }
}

CAVMAE_INLINE void log_mel(const MelBank& mel, const V* power, V* out) {
  constexpr float kFloor = 1.1920929e-07f;  // the machine epsilon, Kaldi's and torchaudio's floor
  for (size_t m = 0; m < mel.spans.size(); ++m) {
    const MelBank::Span span = mel.spans[m];
    V sum = {};
    for (int32_t i = 0; i < span.num_bins; ++i)
      sum += power[span.first_bin + i] * mel.weights[static_cast<size_t>(span.weights + i)];
    const V floor = V{} + kFloor;
    out[m] = natural_log(sum > floor ? sum : floor);
  }
}

// Lane l of the bins goes to row first + l of the result, of which there are num_frames.
CAVMAE_INLINE void scatter_rows(const FbankTask& task, int64_t first, int64_t num_bins, const V* bins) {
  const auto num_rows = static_cast<int>(std::min<int64_t>(kLanes, task.num_frames - first));
  float* out = task.out + first * num_bins;
  int64_t m = 0;
  for (; m + kLanes <= num_bins; m += kLanes) {
    V rows[kLanes];
    for (int l = 0; l < kLanes; ++l) rows[l] = bins[m + l];
    transpose(rows);
    for (int l = 0; l < num_rows; ++l) store(out + l * num_bins + m, rows[l]);
  }
  for (; m < num_bins; ++m)
    for (int l = 0; l < num_rows; ++l) out[l * num_bins + m] = bins[m][l];
}

}  // namespace

void CAVMAE_FBANK_FUNCTION(const FbankPlan& plan, const FbankTask& task) {
  V* samples = reinterpret_cast<V*>(task.scratch);
  V* power = samples + plan.fft_size;
  V* bins = power + plan.fft_size / 2 + 1;
  for (int64_t first = 0; first < task.num_frames; first += kLanes) {
    const float* starts[kLanes];
    for (int l = 0; l < kLanes; ++l)
      starts[l] = task.waveform + std::min(first + l, task.num_frames - 1) * plan.shift;
    gather_frames(starts, plan.window_size, task.mean, samples);
    condition(plan, samples);
    auto* z = reinterpret_cast<Complex*>(samples);
    transform(plan, z);
    power_spectrum(plan, z, power);
    log_mel(plan.mel, power, bins);
    scatter_rows(task, first, static_cast<int64_t>(plan.mel.spans.size()), bins);
  }
}

}  // namespace cavmae
