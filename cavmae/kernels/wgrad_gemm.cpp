#include "cavmae/kernels/wgrad_gemm.h"

#include <algorithm>

#include "cavmae/core/error.h"
#include "cavmae/core/parallel.h"
#include "cavmae/isa/kernel_table.h"
#include "cavmae/kernels/buffer.h"
#include "cavmae/kernels/versions.h"

namespace cavmae::kernels {
namespace {

const auto& gemm_versions() {
  static const std::vector<KernelVersion<WgradGemmKernel (*)()>> kGemmVersions = {
#ifdef CAVMAE_X86_KERNELS
      {"avx512_bf16", Isa::avx512_bf16, wgrad_gemm_avx512_bf16},
#endif
  };
  return kGemmVersions;
}

// Note [wgrad GEMM]: a tile of dW, columns_of_g x columns_of_x, stays in registers while a block of rows of
// g and x is summed. A thread keeps a panel of x, which fits into L1, and goes through those of
// g. Meanwhile the rows of the next block are fetched: packing them would wait for memory, a seventh of the
// time.
// A block of all rows needs no second pass over dW, so that one may be larger.
constexpr int64_t kMaxRows = 720, kMaxRowsAtOnce = 1152;

int64_t ceil_divide(int64_t n, int64_t size) {
  return (n + size - 1) / size;
}

int64_t rows_of_block(int64_t rows, int64_t step) {
  if (rows <= kMaxRowsAtOnce) return ceil_divide(rows, step) * step;
  const int64_t even = ceil_divide(rows, ceil_divide(rows, kMaxRows));
  return ceil_divide(even, step) * step;
}

class Gemm {
 public:
  Gemm(const WgradGemm& call, const WgradGemmKernel& kernel)
      : p_(call),
        kernel_(kernel),
        panels_of_g_(ceil_divide(call.m, kernel.columns_of_g)),
        panels_of_x_(ceil_divide(call.k, kernel.columns_of_x)),
        block_rows_(rows_of_block(call.n, kernel.row_step)),
        memory_((size_of_g() + panels_of_x_ * kernel.columns_of_x * block_rows_) *
                static_cast<int64_t>(sizeof(Bf16))) {}

  void run() const {
    for (int64_t row = 0; row < p_.n; row += block_rows_)
      add_block(row, std::min(block_rows_, p_.n - row), row > 0 || p_.accumulate == Accumulate::yes);
  }

 private:
  // Of the panels of g, in values; those of x follow at an address that is as aligned.
  int64_t size_of_g() const {
    constexpr int64_t kAlignment = 32;
    return ceil_divide(panels_of_g_ * kernel_.columns_of_g * block_rows_, kAlignment) * kAlignment;
  }

  void add_block(int64_t row, int64_t rows, bool add) const {
    auto* const panels = memory_.as<Bf16>();
    const PanelPacking of_g{.factor = p_.g, .width = p_.m, .first = row, .count = rows, .panels = panels};
    const PanelPacking of_x{
        .factor = p_.x, .width = p_.k, .first = row, .count = rows, .panels = panels + size_of_g()};
    constexpr int64_t kPairsWorthAThread = 8;
    at::parallel_for(0, of_g.pairs(), kPairsWorthAThread, [&](int64_t begin, int64_t end) {
      kernel_.pack_g(of_g, begin, end);
      kernel_.pack_x(of_x, begin, end);
    });
    const PanelProduct product{
        .of_g = of_g.panels,
        .of_x = of_x.panels,
        .m = p_.m,
        .k = p_.k,
        .pairs = of_g.pairs(),
        .sums = p_.sums,
        .add = add,
        .non_temporal = !add && row + rows == p_.n && may_be_non_temporal(p_.sums, p_.m, p_.k),
        .g = rows_ahead(p_.g, p_.m, row + rows),
        .x = rows_ahead(p_.x, p_.k, row + rows)};
    // Panels of g in so many parts that every thread has work.
    const int64_t parts = std::min(panels_of_g_, ceil_divide(at::get_num_threads(), panels_of_x_));
    at::parallel_for(0, panels_of_x_ * parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) {
        const int64_t part = task % parts;
        kernel_.multiply(product, task / parts, panels_of_g_ * part / parts,
                         panels_of_g_ * (part + 1) / parts);
      }
    });
  }

  Ahead rows_ahead(const Bf16* factor, int64_t width, int64_t row) const {
    const int64_t rows = std::min(block_rows_, p_.n - row);
    return {.data = factor + row * width, .bytes = rows * width * static_cast<int64_t>(sizeof(Bf16))};
  }

  const WgradGemm& p_;
  WgradGemmKernel kernel_;
  int64_t panels_of_g_, panels_of_x_, block_rows_;
  Buffer memory_;  // of both factors' panels
};

}  // namespace

bool may_be_non_temporal(const float* sums, int64_t m, int64_t k) {
  constexpr int64_t kLine = 64, kBytes = 1 << 20;
  const int64_t row_bytes = k * static_cast<int64_t>(sizeof(float));
  return reinterpret_cast<uintptr_t>(sums) % kLine == 0 && row_bytes % kLine == 0 && row_bytes * m >= kBytes;
}

const char* wgrad_gemm_in_use() {
  const auto* const version = best_version(gemm_versions());
  return version == nullptr ? nullptr : version->name;
}

void wgrad_gemm(const WgradGemm& call) {
  const auto* const version = best_version(gemm_versions());
  CAVMAE_CHECK(version != nullptr, "dW from factors of bf16 needs AVX512-BF16, which may not be used");
  if (call.m == 0 || call.k == 0) return;
  if (call.n == 0) {
    if (call.accumulate == Accumulate::no) std::fill_n(call.sums, call.m * call.k, 0.0f);
    return;
  }
  Gemm(call, version->functions()).run();
}

}  // namespace cavmae::kernels
