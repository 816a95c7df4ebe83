// The matrix products of linear layers, y = x W^T + b and its two gradients, on plain arrays of float or bf16
// with float sums. One interface over oneDNN, the BLAS under LibTorch, bf16 by way of fp32, tiles, and
// wgrad_gemm.h. Safe from several threads on different outputs; works with LibTorch's threads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/core/file_stream.h"
#include "cavmae/isa/isa.h"
#include "cavmae/kernels/engines.h"
#include "cavmae/kernels/packed_weight.h"
#include "cavmae/kernels/types.h"

namespace cavmae::kernels {

// Dense, [rows, columns].
struct Matrix {
  void* data = nullptr;
  int64_t rows = 0, columns = 0;
  Element element = Element::f32;

  float* floats() const { return static_cast<float*>(data); }
  Bf16* bf16() const { return static_cast<Bf16*>(data); }
};
struct ConstMatrix {
  const void* data = nullptr;
  int64_t rows = 0, columns = 0;
  Element element = Element::f32;

  ConstMatrix() = default;
  ConstMatrix(const void* values, int64_t num_rows, int64_t num_columns, Element of)
      : data(values), rows(num_rows), columns(num_columns), element(of) {}
  ConstMatrix(const Matrix& m) : ConstMatrix(m.data, m.rows, m.columns, m.element) {}  // NOLINT: to be read
  const Bf16* bf16() const { return static_cast<const Bf16*>(data); }
};

// W [rows, columns], float: a parameter or some of its rows.
struct WeightRows {
  const float* data = nullptr;
  int64_t rows = 0, columns = 0;
  // Where packed copies are kept, and what they are known by; null: packed anew each time.
  PackedWeight* packed = nullptr;
  int64_t first_row = 0;                              // in the parameter
  int64_t version = 0;                                // another one after each change of the values
  std::optional<PlaceInFile> in_file = std::nullopt;  // where the same values can be read
};

// y = x W^T + bias + residual. x: element [n, k]; y: element, or float, [n, m]
struct LinearForward {
  ConstMatrix x;
  WeightRows weight;
  const float* bias = nullptr;      // [m]; may be null
  const float* residual = nullptr;  // [n, m], only with a float y; may be null
  Matrix y;
};

// dx = g W. g: element [n, m]; dx: element, or float, [n, k]
struct LinearDgrad {
  ConstMatrix g;
  WeightRows weight;
  Matrix dx;
};

// dW = g^T x, put into or added to d_weight. g: element [n, m]; x: element [n, k]; n > 0
struct LinearWgrad {
  ConstMatrix g;
  ConstMatrix x;
  float* d_weight = nullptr;  // [m, k]
  Accumulate accumulate = Accumulate::no;
};

// One way to compute them; not every one computes all three. Note [bf16 matmul]: instructions for bf16
// products are young. Without them oneDNN's own bf16 products are slow (AVX-512) or do not exist (AVX2);
// "via_fp32" rounds the factors to bf16, widens them, a tile of rows at a time, and multiplies in fp32:
// the same products, at the speed of fp32.
struct MatmulBackend {
  const char* name;
  Element element;               // of the factors
  Isa needs;                     // to run
  std::optional<Isa> pays_with;  // to be chosen; none: by its name alone, in tests
  Speed (*speed)(const EngineMachine&);
  // "" where its results are right, else what went wrong; null: not tried.
  std::string (*trouble)(const EngineMachine&);
  void (*forward)(const LinearForward&);
  void (*dgrad)(const LinearDgrad&);
  void (*wgrad)(const LinearWgrad&);
};

// Those that can run here.
std::vector<const MatmulBackend*> usable_matmul_backends(Element element);
// Those that are taken, for each of the three apart: Note [Engines].
struct MatmulBackends {
  const MatmulBackend *forward, *dgrad, *wgrad;
  std::string why_forward, why_dgrad, why_wgrad;
  bool forward_by_tiles = false;  // several times as fast as memory brings factors to them
};
const MatmulBackends& best_matmul_backends(Element element);
// Chooses anew, for use_engines().
void choose_matmul_backends(Element element);
// What would be taken on another machine.
MatmulBackends matmul_backends_on(const EngineMachine& machine, Element element);
// A warning for the user about the choice, or "".
std::string matmul_backend_warning(const EngineMachine& machine = this_machine());
// Whether bf16 products are computed by instructions of their own, and not by way of fp32.
bool bf16_matmul_is_faster();

// By the best backends. Sizes are not checked and must not be 0.
void linear_forward(const LinearForward& call);
void linear_dgrad(const LinearDgrad& call);
void linear_wgrad(const LinearWgrad& call);

}  // namespace cavmae::kernels
