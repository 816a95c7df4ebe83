// The gradient of a weight from bf16 factors, dW = g^T x: a sum of outer products of rows. oneDNN turns and
// packs factors for it anew in every block of the result; here each is packed once, for all threads.
#pragma once

#include <cstdint>

#include "cavmae/kernels/types.h"

namespace cavmae::kernels {

struct WgradGemm {
  const Bf16* g = nullptr;  // [n, m], dense
  const Bf16* x = nullptr;  // [n, k], dense
  int64_t n = 0, m = 0, k = 0;
  float* sums = nullptr;  // [m, k], dense
  Accumulate accumulate = Accumulate::no;
};

// The version that is taken; null where there is none for the instructions that may be used.
const char* wgrad_gemm_in_use();
// Needs a version. Works with LibTorch's threads; their number does not enter the result.
void wgrad_gemm(const WgradGemm& call);

// Whether sums [m, k] that are final may be written past the cache: whole lines need not be read first, and
// gradients of this size are next wanted by the optimizer, when they have long left the cache.
bool may_be_non_temporal(const float* sums, int64_t m, int64_t k);

// For wgrad_gemm.cpp; Note [wgrad GEMM].

// A factor's rows `first` to `first + count`, cut into panels of so many columns. A panel holds a pair of
// rows after the other, the pair's values of a column side by side; zeros where the factor has none.
struct PanelPacking {
  const Bf16* factor = nullptr;  // [.., width]
  int64_t width = 0, first = 0, count = 0;
  Bf16* panels = nullptr;  // aligned to 64 bytes

  int64_t pairs() const { return (count + 1) / 2; }
};

// Memory that the next product wants, fetched into the cache by and by.
struct Ahead {
  const void* data = nullptr;
  int64_t bytes = 0;
};

// Panels of both factors, and the tiles that they are for.
struct PanelProduct {
  const Bf16 *of_g = nullptr, *of_x = nullptr;
  int64_t m = 0, k = 0, pairs = 0;
  float* sums = nullptr;  // [m, k]
  bool add = false;
  bool non_temporal = false;  // the sums are final, and too many to stay there
  Ahead g, x;
};

// A version of the code.
struct WgradGemmKernel {
  int64_t columns_of_g, columns_of_x;  // of a panel; they make a tile of dW
  int64_t row_step;                    // blocks of rows are a multiple of it
  // Packs pairs of rows `begin` to `end` of a factor g or x.
  void (*pack_g)(const PanelPacking& packing, int64_t begin, int64_t end);
  void (*pack_x)(const PanelPacking& packing, int64_t begin, int64_t end);
  // Tiles of one panel of x and panels `begin` to `end` of g.
  void (*multiply)(const PanelProduct& product, int64_t panel_of_x, int64_t begin, int64_t end);
};

}  // namespace cavmae::kernels
