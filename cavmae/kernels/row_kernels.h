// What a transformer block computes row by row: layer norms, GELU, sums over rows, and rounding, forward and
// backward, on plain arrays [rows, width] that lie dense. Sums over rows are made of pieces of a fixed number
// of rows, in order, so results depend on the instruction set but not on the number of threads. Safe from
// several threads on different outputs; works with LibTorch's threads.
#pragma once

#include <cstdint>
#include <vector>

#include "cavmae/isa/kernel_table.h"
#include "cavmae/kernels/types.h"

namespace cavmae::kernels {

// y = (x - mean) rstd weight + bias with rstd = 1 / sqrt(variance + 1e-5).
struct LayerNormForward {
  const float* x = nullptr;       // [rows, width]
  const float* weight = nullptr;  // [width]
  const float* bias = nullptr;    // [width]
  void* y = nullptr;              // element [rows, width]
  float* mean = nullptr;          // [rows]; null: not kept
  float* rstd = nullptr;          // [rows]; null: not kept
  int64_t rows = 0, width = 0;
  Element element = Element::f32;
};

// From the gradient g of y, with n = (x - mean) rstd and a = g weight, row by row:
//   dx = rstd (a - sum(a) / width - n sum(a n) / width) + residual
struct LayerNormBackward {
  const float* x = nullptr;         // [rows, width]
  const float* weight = nullptr;    // [width]
  const float* bias = nullptr;      // [width]; only for `y`
  const float* mean = nullptr;      // [rows]
  const float* rstd = nullptr;      // [rows]
  const void* g = nullptr;          // element [rows, width]
  const float* residual = nullptr;  // [rows, width], the gradient that goes past the norm; may be null
  float* dx = nullptr;              // [rows, width]; may be `residual`
  void* dx_rounded = nullptr;       // element [rows, width], dx again; null: not wanted
  void* y = nullptr;                // element [rows, width], the forward result again; null: not wanted
  float* d_weight = nullptr;        // [width]: sum of g n over the rows
  float* d_bias = nullptr;          // [width]: sum of g
  float* dx_sums = nullptr;         // [width]: sum of dx; null: not wanted
  Accumulate accumulate_norm = Accumulate::no, accumulate_sums = Accumulate::no;
  int64_t rows = 0, width = 0;
  Element element = Element::f32;
};

// y = x Phi(x), Phi(x) = (1 + erf(x / sqrt(2))) / 2.
struct GeluForward {
  const void* x = nullptr;  // element [count]
  void* y = nullptr;        // element [count]; may be x
  int64_t count = 0;
  Element element = Element::f32;
};

// dx = g (Phi(x) + x phi(x)).
struct GeluBackward {
  const void* x = nullptr;   // element [rows, width]
  const void* g = nullptr;   // element [rows, width]
  void* dx = nullptr;        // element [rows, width]; may be g
  void* y = nullptr;         // element [rows, width], the forward result again; may be x
  float* dx_sums = nullptr;  // [width]: sum of dx over the rows
  Accumulate accumulate = Accumulate::no;
  int64_t rows = 0, width = 0;
  Element element = Element::f32;
};

// Sums over the rows, and the rows rounded.
struct SumRows {
  const void* x = nullptr;  // element [rows, width]
  Bf16* rounded = nullptr;  // [rows, width], of f32 rows; null: not wanted
  float* sums = nullptr;    // [width]; null: not wanted
  Accumulate accumulate = Accumulate::no;
  int64_t rows = 0, width = 0;
  Element element = Element::f32;
};

// y = x + bias + residual, whichever are not null.
struct AddRows {
  const float* x = nullptr;         // [rows, width]; may be null
  const float* bias = nullptr;      // [width]
  const float* residual = nullptr;  // [rows, width]
  void* y = nullptr;                // element [rows, width]; may be x
  int64_t rows = 0, width = 0;
  Element element = Element::f32;
};

// The code for one instruction set, on a range of rows (or of values, where a call has no rows). Sums are
// added to arrays given apart from the call: a thread's own, or null where they are not wanted.
struct RowKernels {
  void (*layer_norm_forward)(const LayerNormForward&, int64_t begin, int64_t end);
  void (*layer_norm_backward)(const LayerNormBackward&, int64_t begin, int64_t end, float* d_weight,
                              float* d_bias, float* dx_sums);
  void (*gelu_forward)(const GeluForward&, int64_t begin, int64_t end);
  void (*gelu_backward)(const GeluBackward&, int64_t begin, int64_t end, float* dx_sums);
  void (*sum_rows)(const SumRows&, int64_t begin, int64_t end, float* sums);
  void (*add_rows)(const AddRows&, int64_t begin, int64_t end);
  void (*widen)(const Bf16* x, float* y, int64_t begin, int64_t end);
  void (*round)(const float* x, Bf16* y, int64_t begin, int64_t end);
  void (*round_in_place)(const float* x, float* y, int64_t begin, int64_t end);
};

using RowKernelVersion = KernelVersion<const RowKernels& (*)()>;
std::vector<const RowKernelVersion*> usable_row_kernels();  // from the slowest
const RowKernelVersion& best_row_kernels();
const RowKernels& row_kernels();  // of the best

void layer_norm_forward(const LayerNormForward& call, const RowKernels& kernels = row_kernels());
void layer_norm_backward(const LayerNormBackward& call, const RowKernels& kernels = row_kernels());
void gelu_forward(const GeluForward& call, const RowKernels& kernels = row_kernels());
void gelu_backward(const GeluBackward& call, const RowKernels& kernels = row_kernels());
void sum_rows(const SumRows& call, const RowKernels& kernels = row_kernels());
void add_rows(const AddRows& call, const RowKernels& kernels = row_kernels());
// bf16 to float and back, `count` values; to the nearest, ties to even.
void widen(const Bf16* x, float* y, int64_t count, const RowKernels& kernels = row_kernels());
void round_to_bf16(const float* x, Bf16* y, int64_t count, const RowKernels& kernels = row_kernels());
// The same values as floats. y may be x.
void round_to_bf16_values(const float* x, float* y, int64_t count, const RowKernels& kernels = row_kernels());

}  // namespace cavmae::kernels
