// Products of many rows with one vector, and what the lengths of the rows are: what searching for the nearest
// rows takes. Free functions on plain arrays; safe from several threads.
#pragma once

#include <cstdint>
#include <vector>

#include "cavmae/isa/kernel_table.h"

namespace cavmae::kernels {

// Rows of `width` numbers, `stride` numbers apart. `indices`: [num_rows], which rows; null: the first ones.
template <class Number>
struct ManyRows {
  const Number* rows = nullptr;
  int64_t stride = 0, width = 0, num_rows = 0;
  const int64_t* indices = nullptr;

  const Number* row(int64_t i) const { return rows + (indices != nullptr ? indices[i] : i) * stride; }
};
using HalfBits = uint16_t;  // IEEE 754 binary16

// products[i] = x_i . vector, squares[i] = x_i . x_i of each row x_i, in float; the order of the sums differs
// between versions.
//
// exact_of_...: likewise in double. Products of two floats are exact there and each version adds them in one
// order (sum_of_partial()), so that all of them give the same bits.
struct RowProducts {
  void (*of_floats)(const ManyRows<float>& rows, const float* vector, float* products, float* squares);
  void (*of_halfs)(const ManyRows<HalfBits>& rows, const float* vector, float* products, float* squares);
  void (*exact_of_floats)(const ManyRows<float>& rows, const float* vector, double* products,
                          double* squares);
  void (*exact_of_halfs)(const ManyRows<HalfBits>& rows, const float* vector, double* products,
                         double* squares);
};

// The sum of eight partial ones: number i of a row belongs to the (i mod 8)th, those behind the last whole
// eight to the first.
inline double sum_of_partial(const double* sums) {
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

const RowProducts& row_products();

using RowProductsVersion = KernelVersion<RowProducts>;
std::vector<const RowProductsVersion*> usable_row_products();
const RowProductsVersion& best_row_products();

float float_of_half(HalfBits half);

}  // namespace cavmae::kernels
