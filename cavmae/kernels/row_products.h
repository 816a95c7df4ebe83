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
struct RowProducts {
  void (*of_floats)(const ManyRows<float>& rows, const float* vector, float* products, float* squares);
  void (*of_halfs)(const ManyRows<HalfBits>& rows, const float* vector, float* products, float* squares);
};

const RowProducts& row_products();

using RowProductsVersion = KernelVersion<RowProducts>;
std::vector<const RowProductsVersion*> usable_row_products();
const RowProductsVersion& best_row_products();

float float_of_half(HalfBits half);

}  // namespace cavmae::kernels
