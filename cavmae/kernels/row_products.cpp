#include "cavmae/kernels/row_products.h"

#include <bit>

#include "cavmae/kernels/versions.h"

namespace cavmae::kernels {
namespace {

float as_float(float number) {
  return number;
}
float as_float(HalfBits half) {
  return float_of_half(half);
}

template <class Number>
void compute(const ManyRows<Number>& rows, const float* vector, float* products, float* squares) {
  constexpr int64_t kLanes = 8;
  for (int64_t r = 0; r < rows.num_rows; ++r) {
    const Number* row = rows.row(r);
    float product[kLanes] = {}, square[kLanes] = {};
    int64_t i = 0;
    for (; i + kLanes <= rows.width; i += kLanes)
      for (int64_t j = 0; j < kLanes; ++j) {
        const float x = as_float(row[i + j]);
        product[j] += x * vector[i + j];
        square[j] += x * x;
      }
    for (; i < rows.width; ++i) {
      const float x = as_float(row[i]);
      product[0] += x * vector[i];
      square[0] += x * x;
    }
    products[r] = squares[r] = 0.0f;
    for (int64_t j = 0; j < kLanes; ++j) {
      products[r] += product[j];
      squares[r] += square[j];
    }
  }
}

template <class Number>
void compute_exactly(const ManyRows<Number>& rows, const float* vector, double* products, double* squares) {
  constexpr int64_t kSums = 8;
  for (int64_t r = 0; r < rows.num_rows; ++r) {
    const Number* row = rows.row(r);
    double product[kSums] = {}, square[kSums] = {};
    for (int64_t i = 0; i < rows.width; ++i) {
      const int64_t sum = i < rows.width / kSums * kSums ? i % kSums : 0;
      const double x = as_float(row[i]);
      product[sum] += x * static_cast<double>(vector[i]);
      square[sum] += x * x;
    }
    products[r] = sum_of_partial(product);
    squares[r] = sum_of_partial(square);
  }
}

const std::vector<RowProductsVersion>& versions() {
  static const std::vector<RowProductsVersion> all = {
      {"baseline", Isa::baseline, row_products_baseline()},
#ifdef CAVMAE_X86_KERNELS
      {"avx2", Isa::avx2, row_products_avx2()},
#endif
  };
  return all;
}

}  // namespace

// Moves the exponent to where a float has it; what has none in a half gets one by a subtraction.
float float_of_half(HalfBits half) {
  constexpr uint32_t kMagnitude = 0x7fff, kExponent = 0x7c00, kSign = 0x8000;
  const uint32_t sign = (half & kSign) << 16, magnitude = half & kMagnitude;
  if (magnitude >= kExponent) return std::bit_cast<float>(sign | 0x7f800000u | (magnitude & 0x3ff) << 13);
  if (magnitude < 0x400) {
    const float number = static_cast<float>(magnitude) * 0x1p-24f;
    return sign != 0 ? -number : number;
  }
  return std::bit_cast<float>(sign | ((magnitude << 13) + ((127 - 15) << 23)));
}

RowProducts row_products_baseline() {
  return {.of_floats = compute<float>,
          .of_halfs = compute<HalfBits>,
          .exact_of_floats = compute_exactly<float>,
          .exact_of_halfs = compute_exactly<HalfBits>};
}

std::vector<const RowProductsVersion*> usable_row_products() {
  return usable_versions(versions());
}

const RowProductsVersion& best_row_products() {
  return *best_version(versions());
}

const RowProducts& row_products() {
  static const RowProducts& best = best_row_products().functions;
  return best;
}

}  // namespace cavmae::kernels
