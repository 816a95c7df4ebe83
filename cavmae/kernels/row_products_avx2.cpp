// Products of rows for AVX2, FMA and F16C. Run only where usable_isa() allows them.
#include <cstdint>

#include "cavmae/isa/isa.h"
#include "cavmae/kernels/row_products.h"
#include "cavmae/kernels/versions.h"

#ifdef CAVMAE_X86_KERNELS
#include <immintrin.h>
// After every other header: their inline functions stay fit for any processor.
#pragma GCC target("avx2,fma,f16c")

namespace cavmae::kernels {
namespace {

constexpr int64_t kLanes = 8;
constexpr int64_t kLineBytes = 64;

inline __m256 load(const float* numbers) {
  return _mm256_loadu_ps(numbers);
}
inline __m256 load(const HalfBits* numbers) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(numbers)));
}
inline float one(float number) {
  return number;
}
inline float one(HalfBits number) {
  return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(number)));
}

inline float sum_of(__m256 lanes) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps(lanes, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

// Rows that follow one another are fetched by the processor itself; those that are picked lie anywhere.
template <class Number>
inline void fetch(const ManyRows<Number>& rows, int64_t r) {
  if (rows.indices == nullptr || r >= rows.num_rows) return;
  const auto* bytes = reinterpret_cast<const char*>(rows.row(r));
  for (int64_t at = 0; at < rows.width * static_cast<int64_t>(sizeof(Number)); at += kLineBytes)
    _mm_prefetch(bytes + at, _MM_HINT_T0);
}

template <class Number>
void compute(const ManyRows<Number>& rows, const float* vector, float* products, float* squares) {
  constexpr int64_t kAhead = 2;  // rows
  for (int64_t r = 0; r < kAhead; ++r) fetch(rows, r);
  for (int64_t r = 0; r < rows.num_rows; ++r) {
    fetch(rows, r + kAhead);
    const Number* row = rows.row(r);
    __m256 product[4] = {}, square[4] = {};
    for (int j = 0; j < 4; ++j) product[j] = square[j] = _mm256_setzero_ps();
    int64_t i = 0;
    for (; i + 4 * kLanes <= rows.width; i += 4 * kLanes)
      for (int j = 0; j < 4; ++j) {
        const __m256 x = load(row + i + j * kLanes);
        product[j] = _mm256_fmadd_ps(x, _mm256_loadu_ps(vector + i + j * kLanes), product[j]);
        square[j] = _mm256_fmadd_ps(x, x, square[j]);
      }
    for (; i + kLanes <= rows.width; i += kLanes) {
      const __m256 x = load(row + i);
      product[0] = _mm256_fmadd_ps(x, _mm256_loadu_ps(vector + i), product[0]);
      square[0] = _mm256_fmadd_ps(x, x, square[0]);
    }
    products[r] =
        sum_of(_mm256_add_ps(_mm256_add_ps(product[0], product[1]), _mm256_add_ps(product[2], product[3])));
    squares[r] =
        sum_of(_mm256_add_ps(_mm256_add_ps(square[0], square[1]), _mm256_add_ps(square[2], square[3])));
    for (; i < rows.width; ++i) {
      const float x = one(row[i]);
      products[r] += x * vector[i];
      squares[r] += x * x;
    }
  }
}

inline void load_double(const float* numbers, __m256d& low, __m256d& high) {
  low = _mm256_cvtps_pd(_mm_loadu_ps(numbers));
  high = _mm256_cvtps_pd(_mm_loadu_ps(numbers + 4));
}
inline void load_double(const HalfBits* numbers, __m256d& low, __m256d& high) {
  const __m256 eight = load(numbers);
  low = _mm256_cvtps_pd(_mm256_castps256_ps128(eight));
  high = _mm256_cvtps_pd(_mm256_extractf128_ps(eight, 1));
}

template <class Number>
void compute_exactly(const ManyRows<Number>& rows, const float* vector, double* products, double* squares) {
  fetch(rows, 0);
  for (int64_t r = 0; r < rows.num_rows; ++r) {
    fetch(rows, r + 1);
    const Number* row = rows.row(r);
    __m256d product[2] = {_mm256_setzero_pd(), _mm256_setzero_pd()};
    __m256d square[2] = {_mm256_setzero_pd(), _mm256_setzero_pd()};
    int64_t i = 0;
    for (; i + kLanes <= rows.width; i += kLanes) {
      __m256d x[2], y[2];
      load_double(row + i, x[0], x[1]);
      load_double(vector + i, y[0], y[1]);
      for (int j = 0; j < 2; ++j) {
        product[j] = _mm256_fmadd_pd(x[j], y[j], product[j]);
        square[j] = _mm256_fmadd_pd(x[j], x[j], square[j]);
      }
    }
    double products_of[kLanes], squares_of[kLanes];
    for (int j = 0; j < 2; ++j) {
      _mm256_storeu_pd(products_of + 4 * j, product[j]);
      _mm256_storeu_pd(squares_of + 4 * j, square[j]);
    }
    for (; i < rows.width; ++i) {
      const double x = one(row[i]);
      products_of[0] += x * static_cast<double>(vector[i]);
      squares_of[0] += x * x;
    }
    products[r] = sum_of_partial(products_of);
    squares[r] = sum_of_partial(squares_of);
  }
}

}  // namespace

RowProducts row_products_avx2() {
  return {.of_floats = compute<float>,
          .of_halfs = compute<HalfBits>,
          .exact_of_floats = compute_exactly<float>,
          .exact_of_halfs = compute_exactly<HalfBits>};
}

}  // namespace cavmae::kernels
#endif
