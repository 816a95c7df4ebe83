// The filterbank over SIMD lanes; included once by each version's .cpp, which sets the processor's features,
// CAVMAE_LANES and CAVMAE_FBANK_FUNCTION before. See Note [Rounding of the filterbank].

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

// The mean of a frame, summed in PyTorch's order: sample n goes to running sum n mod 32.
CAVMAE_INLINE V frame_mean(const V* samples, int64_t count) {
  const int64_t num_rounds = count / 32;
  V sums[32];
  for (int64_t i = 0; i < 32; ++i) {
    sums[i] = V{};
    for (int64_t round = 0; round < num_rounds; ++round) sums[i] += samples[32 * round + i];
  }
  int64_t n = 32 * num_rounds;
  for (; n + 8 <= count; n += 8)
    for (int64_t i = 0; i < 8; ++i) sums[i] += samples[n + i];
  V sum = {};
  for (; n < count; ++n) sum += samples[n];
  for (int64_t i = 0; i < 8; ++i) sum += sums[i] + sums[i + 8] + sums[i + 16] + sums[i + 24];
  return sum / static_cast<float>(count);
}

// Without its own mean, pre-emphasised, windowed and padded with zeros.
CAVMAE_INLINE void condition(const FbankPlan& plan, V* samples) {
  const V mean = frame_mean(samples, plan.window_size);
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

// z / root, for a root on the unit circle.
CAVMAE_INLINE Complex turn_back(V re, V im, const float* root) {
  return {root[0] * re + root[1] * im, root[0] * im - root[1] * re};
}

// Joins the transforms a, b, c, d (length m, `apart` from each other) of every fourth sample to one of 4m.
CAVMAE_INLINE void join_four(const V* a, int64_t apart, int64_t m, const float* roots, V* out) {
  constexpr float kRootHalf = 0.70710678118654752f;
  const V *b = a + apart, *c = b + apart, *d = c + apart;
  const V even_sum = a[0] + c[0], odd_sum = d[0] + b[0];
  out[0] = even_sum + odd_sum;
  out[4 * m - 1] = even_sum - odd_sum;
  out[2 * m - 1] = a[0] - c[0];
  out[2 * m] = d[0] - b[0];
  if (m == 1) return;
  const int64_t top = m - 1;  // the real value at the highest frequency
  const V real = kRootHalf * (b[top] - d[top]), imag = -kRootHalf * (b[top] + d[top]);
  out[m - 1] = a[top] + real;
  out[m] = imag - c[top];
  out[3 * m - 1] = a[top] - real;
  out[3 * m] = imag + c[top];
  for (int64_t j = 1; j < m / 2; ++j, roots += 6) {
    const int64_t re = 2 * j - 1, im = 2 * j;
    const Complex tb = turn_back(b[re], b[im], roots);
    const Complex tc = turn_back(c[re], c[im], roots + 2);
    const Complex td = turn_back(d[re], d[im], roots + 4);
    const Complex sum_ac{a[re] + tc.re, a[im] + tc.im}, diff_ac{a[re] - tc.re, a[im] - tc.im};
    const Complex sum_bd{td.re + tb.re, tb.im + td.im}, diff_bd{td.re - tb.re, tb.im - td.im};
    out[re] = sum_ac.re + sum_bd.re;
    out[im] = sum_bd.im + sum_ac.im;
    out[4 * m - 2 * j - 1] = sum_ac.re - sum_bd.re;
    out[4 * m - 2 * j] = sum_bd.im - sum_ac.im;
    out[2 * m + re] = diff_ac.re + diff_bd.im;
    out[2 * m + im] = diff_bd.re + diff_ac.im;
    out[2 * m - 2 * j - 1] = diff_ac.re - diff_bd.im;
    out[2 * m - 2 * j] = diff_bd.re - diff_ac.im;
  }
}

// Joins the transforms a and b (length m) of the even and the odd samples to one of 2m.
CAVMAE_INLINE void join_two(const V* a, int64_t m, const float* roots, V* out) {
  const V* b = a + m;
  out[0] = a[0] + b[0];
  out[2 * m - 1] = a[0] - b[0];
  out[m - 1] = a[m - 1];
  out[m] = -b[m - 1];
  for (int64_t j = 1; j < m / 2; ++j, roots += 2) {
    const int64_t re = 2 * j - 1, im = 2 * j;
    const Complex tb = turn_back(b[re], b[im], roots);
    out[re] = a[re] + tb.re;
    out[im] = tb.im + a[im];
    out[2 * m - 2 * j - 1] = a[re] - tb.re;
    out[2 * m - 2 * j] = tb.im - a[im];
  }
}

// The transform of `data`, with `other` of the same size to work in; returns which of the two holds it.
CAVMAE_INLINE V* transform(const FbankPlan& plan, V* data, V* other) {
  const float* roots = plan.twiddles.data();
  int64_t m = 1;
  for (; 4 * m <= plan.fft_size; m *= 4) {
    const int64_t apart = plan.fft_size / 4;
    for (int64_t start = 0; start < apart; start += m)
      join_four(data + start, apart, m, roots, other + 4 * start);
    if (m > 1) roots += 6 * (m / 2 - 1);
    std::swap(data, other);
  }
  if (m == plan.fft_size) return data;
  join_two(data, m, roots, other);
  return other;
}

// |X[k]|^2 for k < fft_size / 2.
CAVMAE_INLINE void power_spectrum(const FbankPlan& plan, const V* x, V* power) {
  power[0] = x[0] * x[0];
  for (int64_t k = 1; k < plan.fft_size / 2; ++k)
    power[k] = x[2 * k - 1] * x[2 * k - 1] + x[2 * k] * x[2 * k];
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
  V* work = samples + plan.fft_size;
  V* power = work + plan.fft_size;
  V* bins = power + plan.fft_size / 2;
  for (int64_t first = 0; first < task.num_frames; first += kLanes) {
    const float* starts[kLanes];
    for (int l = 0; l < kLanes; ++l)
      starts[l] = task.waveform + std::min(first + l, task.num_frames - 1) * plan.shift;
    gather_frames(starts, plan.window_size, task.mean, samples);
    condition(plan, samples);
    power_spectrum(plan, transform(plan, samples, work), power);
    log_mel(plan.mel, power, bins);
    scatter_rows(task, first, static_cast<int64_t>(plan.mel.spans.size()), bins);
  }
}

}  // namespace cavmae
