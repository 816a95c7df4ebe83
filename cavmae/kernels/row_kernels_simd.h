// The row kernels over SIMD lanes; included once by each version's .cpp, which sets the processor's features,
// CAVMAE_LANES and CAVMAE_ROW_KERNELS before, and CAVMAE_BF16_INSTRUCTIONS where it may use AVX512-BF16's.

#include <cmath>
#include <cstring>
#include <utility>

#include "cavmae/kernels/row_kernels.h"
#include "cavmae/kernels/versions.h"

#define CAVMAE_INLINE inline __attribute__((always_inline))
#define CAVMAE_INLINE_LAMBDA __attribute__((always_inline))

namespace cavmae::kernels {
namespace {

constexpr int kLanes = CAVMAE_LANES;
using V = float __attribute__((vector_size(kLanes * sizeof(float))));
using VInt = int32_t __attribute__((vector_size(kLanes * sizeof(int32_t))));
using VBits = uint32_t __attribute__((vector_size(kLanes * sizeof(uint32_t))));
using VHalf = uint16_t __attribute__((vector_size(kLanes * sizeof(uint16_t))));
using VLoose = float __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));
using VHalfLoose = uint16_t __attribute__((vector_size(kLanes * sizeof(uint16_t)), aligned(2), may_alias));

// A vector of a row: whole, or the first n values of its last one.
struct Whole {};
struct Part {
  int n;
};

CAVMAE_INLINE V load(const float* p, Whole) {
  return *reinterpret_cast<const VLoose*>(p);
}
CAVMAE_INLINE V load(const float* p, Part part) {
  V v = {};
  std::memcpy(&v, p, static_cast<size_t>(part.n) * sizeof(float));
  return v;
}
CAVMAE_INLINE void store(float* p, V v, Whole) {
  *reinterpret_cast<VLoose*>(p) = v;
}
CAVMAE_INLINE void store(float* p, V v, Part part) {
  std::memcpy(p, &v, static_cast<size_t>(part.n) * sizeof(float));
}

CAVMAE_INLINE V from_half(VHalf half) {
  return reinterpret_cast<V>(__builtin_convertvector(half, VBits) << 16);
}
// To the nearest, ties to even; what is not a number stays one. The instruction takes numbers below the least
// normal one for nothing, as products in bf16 do.
CAVMAE_INLINE VHalf to_half(V v) {
#ifdef CAVMAE_BF16_INSTRUCTIONS
  return reinterpret_cast<VHalf>(_mm512_cvtneps_pbh(reinterpret_cast<__m512>(v)));
#else
  const VBits bits = reinterpret_cast<VBits>(v);
  const VBits rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const VBits quiet = (bits >> 16) | 0x40u;
  return __builtin_convertvector(v == v ? rounded : quiet, VHalf);
#endif
}

CAVMAE_INLINE V load(const Bf16* p, Whole) {
  return from_half(*reinterpret_cast<const VHalfLoose*>(p));
}
CAVMAE_INLINE V load(const Bf16* p, Part part) {
  VHalf half = {};
  std::memcpy(&half, p, static_cast<size_t>(part.n) * sizeof(Bf16));
  return from_half(half);
}
CAVMAE_INLINE void store(Bf16* p, V v, Whole) {
  *reinterpret_cast<VHalfLoose*>(p) = to_half(v);
}
CAVMAE_INLINE void store(Bf16* p, V v, Part part) {
  const VHalf half = to_half(v);
  std::memcpy(p, &half, static_cast<size_t>(part.n) * sizeof(Bf16));
}

// Calls body(first column, Whole or Part) for every vector of a row.
template <class Body>
CAVMAE_INLINE void for_vectors(int64_t begin, int64_t end, const Body& body) {
  int64_t j = begin;
  for (; j + kLanes <= end; j += kLanes) body(j, Whole{});
  if (j < end) body(j, Part{static_cast<int>(end - j)});
}

CAVMAE_INLINE float sum_lanes(V v) {
  float sum = 0.0f;
  for (int i = 0; i < kLanes; ++i) sum += v[i];
  return sum;
}

// Sums over a row, as many at a time as body(column, part, sums) adds to: four running sums of each hide the
// additions' latency.
template <int count, class Body>
CAVMAE_INLINE void sum_row(int64_t width, float (&out)[count], const Body& body) {
  V sums[4][count] = {};
  int64_t j = 0;
  for (; j + 4 * kLanes <= width; j += 4 * kLanes)
    for (int k = 0; k < 4; ++k) body(j + k * kLanes, Whole{}, sums[k]);
  for (; j + kLanes <= width; j += kLanes) body(j, Whole{}, sums[0]);
  if (j < width) body(j, Part{static_cast<int>(width - j)}, sums[0]);
  for (int i = 0; i < count; ++i) out[i] = sum_lanes((sums[0][i] + sums[1][i]) + (sums[2][i] + sums[3][i]));
}

// What lies past the end of a row, set to zero.
CAVMAE_INLINE V within(V v, Whole) {
  return v;
}
CAVMAE_INLINE V within(V v, Part part) {
  for (int i = part.n; i < kLanes; ++i) v[i] = 0.0f;
  return v;
}

template <class Part_>
CAVMAE_INLINE void add_to(float* sums, V v, Part_ part) {
  store(sums, load(sums, part) + v, part);
}

// e^x for x in [-87, 0]: x = n ln 2 + r, |r| <= ln 2 / 2, a polynomial for e^r, and n into the exponent.
CAVMAE_INLINE V exp_negative(V x) {
  x = x > -87.0f ? x : V{} - 87.0f;
  const V shifted = x * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: the integer lands in the low bits
  const V n = shifted - 12582912.0f;
  const V r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  V p = r * 1.3981999507e-3f + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  const VInt exponent = (reinterpret_cast<VInt>(shifted) - 0x4b400000) << 23;
  return reinterpret_cast<V>(reinterpret_cast<VInt>(p) + exponent);
}

struct Normal {
  V cdf, pdf;
};

// Phi(x) and phi(x), the standard normal distribution, with erf by Abramowitz and Stegun 7.1.26 (absolute
// error 1.5e-7): erfc(z) = t (a1 + t (a2 + ...)) e^(-z^2), t = 1 / (1 + 0.3275911 z).
CAVMAE_INLINE Normal normal(V x, const float* /*element*/) {
  const V z = (x < 0.0f ? -x : x) * 0.70710678f;
  const V t = 1.0f / (z * 0.3275911f + 1.0f);
  const V e = exp_negative(-z * z);
  V p = t * 1.061405429f - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  const V tail = p * t * e * 0.5f;
  return {.cdf = x < 0.0f ? tail : 1.0f - tail, .pdf = e * 0.39894228f};
}

// For values that are rounded to bf16 afterwards, half of whose last place is 2e-3 of a value.
#ifdef CAVMAE_BF16_INSTRUCTIONS
// The same with 7.1.25 (absolute error 2.5e-5), 1 / (1 + 0.47047 z) to 2^-14, and 2^y to 8e-5.
CAVMAE_INLINE Normal normal(V x, const Bf16* /*element*/) {
  const V z = reinterpret_cast<V>(_mm512_abs_ps(reinterpret_cast<__m512>(x))) * 0.70710678f;
  const V t = reinterpret_cast<V>(_mm512_rcp14_ps(reinterpret_cast<__m512>(z * 0.47047f + 1.0f)));
  const auto y = reinterpret_cast<__m512>(x * x * -0.72134752f);  // z^2 in powers of 2
  const V f = reinterpret_cast<V>(_mm512_reduce_ps(y, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC));
  V e = f * 0.07802452726f + 0.2260671487f;  // the polynomial of least relative error
  e = e * f + 0.6958335427f;
  e = e * f + 0.9999252186f;
  e = reinterpret_cast<V>(_mm512_scalef_ps(reinterpret_cast<__m512>(e), y));
  const V tail = ((t * 0.7478556f - 0.0958798f) * t + 0.3480242f) * t * e * 0.5f;
  return {.cdf = x < 0.0f ? tail : 1.0f - tail, .pdf = e * 0.39894228f};
}
#else
CAVMAE_INLINE Normal normal(V x, const Bf16* /*element*/) {
  return normal(x, static_cast<const float*>(nullptr));
}
#endif

template <class E>
CAVMAE_INLINE void layer_norm_row(const LayerNormForward& c, int64_t row) {
  const float* x = c.x + row * c.width;
  E* y = static_cast<E*>(c.y) + row * c.width;
  const auto width = static_cast<float>(c.width);
  float sum[1], squares[1];
  sum_row(c.width, sum,
          [&](int64_t j, auto part, V(&sums)[1]) CAVMAE_INLINE_LAMBDA { sums[0] += load(x + j, part); });
  const float mean = sum[0] / width;
  sum_row(c.width, squares, [&](int64_t j, auto part, V(&sums)[1]) CAVMAE_INLINE_LAMBDA {
    const V centred = within(load(x + j, part) - mean, part);
    sums[0] += centred * centred;
  });
  constexpr float kEpsilon = 1e-5f;
  const float rstd = 1.0f / std::sqrt(squares[0] / width + kEpsilon);
  if (c.mean != nullptr) c.mean[row] = mean;
  if (c.rstd != nullptr) c.rstd[row] = rstd;
  for_vectors(0, c.width, [&](int64_t j, auto part) CAVMAE_INLINE_LAMBDA {
    const V n = (load(x + j, part) - mean) * rstd;
    store(y + j, n * load(c.weight + j, part) + load(c.bias + j, part), part);
  });
}

struct NormSums {
  float *d_weight, *d_bias, *dx;
};

template <class E>
CAVMAE_INLINE void layer_norm_backward_row(const LayerNormBackward& c, int64_t row, const NormSums& to) {
  const int64_t first = row * c.width;
  const float *x = c.x + first, *residual = c.residual == nullptr ? nullptr : c.residual + first;
  const E* g = static_cast<const E*>(c.g) + first;
  float* dx = c.dx + first;
  E* rounded = c.dx_rounded == nullptr ? nullptr : static_cast<E*>(c.dx_rounded) + first;
  E* y = c.y == nullptr ? nullptr : static_cast<E*>(c.y) + first;
  const float mean = c.mean[row], rstd = c.rstd[row];
  float sums[2];
  sum_row(c.width, sums, [&](int64_t j, auto part, V(&into)[2]) CAVMAE_INLINE_LAMBDA {
    const V gradient = load(g + j, part), n = (load(x + j, part) - mean) * rstd;
    const V a = gradient * load(c.weight + j, part);
    into[0] += a;
    into[1] += a * n;
    add_to(to.d_weight + j, gradient * n, part);
    add_to(to.d_bias + j, gradient, part);
  });
  const float of_a = sums[0] / static_cast<float>(c.width), of_an = sums[1] / static_cast<float>(c.width);
  for_vectors(0, c.width, [&](int64_t j, auto part) CAVMAE_INLINE_LAMBDA {
    const V n = (load(x + j, part) - mean) * rstd, weight = load(c.weight + j, part);
    V d = (load(g + j, part) * weight - of_a - n * of_an) * rstd;
    if (residual != nullptr) d += load(residual + j, part);
    store(dx + j, d, part);
    if (rounded != nullptr) store(rounded + j, d, part);
    if (y != nullptr) store(y + j, n * weight + load(c.bias + j, part), part);
    if (to.dx != nullptr) add_to(to.dx + j, d, part);
  });
}

template <class E>
CAVMAE_INLINE void gelu_values(const GeluForward& c, int64_t begin, int64_t end) {
  const E* x = static_cast<const E*>(c.x);
  E* y = static_cast<E*>(c.y);
  for_vectors(begin, end, [&](int64_t i, auto part) CAVMAE_INLINE_LAMBDA {
    const V v = load(x + i, part);
    store(y + i, v * normal(v, x).cdf, part);
  });
}

template <class E>
CAVMAE_INLINE void gelu_backward_row(const GeluBackward& c, int64_t row, float* dx_sums) {
  const int64_t first = row * c.width;
  const E *x = static_cast<const E*>(c.x) + first, *g = static_cast<const E*>(c.g) + first;
  E *dx = static_cast<E*>(c.dx) + first, *y = static_cast<E*>(c.y) + first;
  for_vectors(0, c.width, [&](int64_t j, auto part) CAVMAE_INLINE_LAMBDA {
    const V v = load(x + j, part);
    const Normal at = normal(v, x);
    const V d = load(g + j, part) * (at.cdf + v * at.pdf);
    store(dx + j, d, part);
    store(y + j, v * at.cdf, part);
    add_to(dx_sums + j, d, part);
  });
}

template <class E>
CAVMAE_INLINE void sum_rows_row(const SumRows& c, int64_t row, float* sums) {
  const E* x = static_cast<const E*>(c.x) + row * c.width;
  Bf16* rounded = c.rounded == nullptr ? nullptr : c.rounded + row * c.width;
  for_vectors(0, c.width, [&](int64_t j, auto part) CAVMAE_INLINE_LAMBDA {
    const V v = load(x + j, part);
    if (rounded != nullptr) store(rounded + j, v, part);
    if (sums != nullptr) add_to(sums + j, v, part);
  });
}

template <class E>
CAVMAE_INLINE void add_rows_row(const AddRows& c, int64_t row) {
  const int64_t first = row * c.width;
  E* y = static_cast<E*>(c.y) + first;
  for_vectors(0, c.width, [&](int64_t j, auto part) CAVMAE_INLINE_LAMBDA {
    V v = {};
    if (c.x != nullptr) v = load(c.x + first + j, part);
    if (c.bias != nullptr) v += load(c.bias + j, part);
    if (c.residual != nullptr) v += load(c.residual + first + j, part);
    store(y + j, v, part);
  });
}

void run_layer_norm_forward(const LayerNormForward& c, int64_t begin, int64_t end) {
  if (c.element == Element::f32) {
    for (int64_t row = begin; row < end; ++row) layer_norm_row<float>(c, row);
  } else {
    for (int64_t row = begin; row < end; ++row) layer_norm_row<Bf16>(c, row);
  }
}

void run_layer_norm_backward(const LayerNormBackward& c, int64_t begin, int64_t end, float* d_weight,
                             float* d_bias, float* dx_sums) {
  const NormSums to{.d_weight = d_weight, .d_bias = d_bias, .dx = dx_sums};
  if (c.element == Element::f32) {
    for (int64_t row = begin; row < end; ++row) layer_norm_backward_row<float>(c, row, to);
  } else {
    for (int64_t row = begin; row < end; ++row) layer_norm_backward_row<Bf16>(c, row, to);
  }
}

void run_gelu_forward(const GeluForward& c, int64_t begin, int64_t end) {
  c.element == Element::f32 ? gelu_values<float>(c, begin, end) : gelu_values<Bf16>(c, begin, end);
}

void run_gelu_backward(const GeluBackward& c, int64_t begin, int64_t end, float* dx_sums) {
  if (c.element == Element::f32) {
    for (int64_t row = begin; row < end; ++row) gelu_backward_row<float>(c, row, dx_sums);
  } else {
    for (int64_t row = begin; row < end; ++row) gelu_backward_row<Bf16>(c, row, dx_sums);
  }
}

void run_sum_rows(const SumRows& c, int64_t begin, int64_t end, float* sums) {
  if (c.element == Element::f32) {
    for (int64_t row = begin; row < end; ++row) sum_rows_row<float>(c, row, sums);
  } else {
    for (int64_t row = begin; row < end; ++row) sum_rows_row<Bf16>(c, row, sums);
  }
}

void run_add_rows(const AddRows& c, int64_t begin, int64_t end) {
  if (c.element == Element::f32) {
    for (int64_t row = begin; row < end; ++row) add_rows_row<float>(c, row);
  } else {
    for (int64_t row = begin; row < end; ++row) add_rows_row<Bf16>(c, row);
  }
}

void run_widen(const Bf16* x, float* y, int64_t begin, int64_t end) {
  for_vectors(begin, end,
              [&](int64_t i, auto part) CAVMAE_INLINE_LAMBDA { store(y + i, load(x + i, part), part); });
}

void run_round(const float* x, Bf16* y, int64_t begin, int64_t end) {
  for_vectors(begin, end,
              [&](int64_t i, auto part) CAVMAE_INLINE_LAMBDA { store(y + i, load(x + i, part), part); });
}

void run_round_in_place(const float* x, float* y, int64_t begin, int64_t end) {
  for_vectors(begin, end, [&](int64_t i, auto part) CAVMAE_INLINE_LAMBDA {
    store(y + i, from_half(to_half(load(x + i, part))), part);
  });
}

}  // namespace

const RowKernels& CAVMAE_ROW_KERNELS() {
  static constexpr RowKernels kKernels{.layer_norm_forward = run_layer_norm_forward,
                                       .layer_norm_backward = run_layer_norm_backward,
                                       .gelu_forward = run_gelu_forward,
                                       .gelu_backward = run_gelu_backward,
                                       .sum_rows = run_sum_rows,
                                       .add_rows = run_add_rows,
                                       .widen = run_widen,
                                       .round = run_round,
                                       .round_in_place = run_round_in_place};
  return kKernels;
}

}  // namespace cavmae::kernels
