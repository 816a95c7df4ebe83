#include "cavmae/kernels/outer_products.h"

#include <algorithm>

#include "cavmae/core/error.h"
#include "cavmae/core/parallel.h"
#include "cavmae/core/torch.h"
#include "cavmae/kernels/instruction_set.h"

namespace cavmae::kernels {
namespace {

// Note [Outer products]: a tile of dW, kColumnsOfG x kColumnsOfX, stays in registers while a block of rows of
// g and x is summed. A thread keeps a panel of x, which fits into the first cache, and goes through those of
// g. Meanwhile the rows of the next block are fetched: packing them would wait for memory, a seventh of the
// time.
// A block of all rows needs no second pass over dW, so that one may be larger.
constexpr int64_t kMaxRows = 720, kMaxRowsAtOnce = 1152, kRowStep = 16;

int64_t ceil_divide(int64_t n, int64_t size) {
  return (n + size - 1) / size;
}

int64_t rows_of_block(int64_t rows) {
  if (rows <= kMaxRowsAtOnce) return ceil_divide(rows, kRowStep) * kRowStep;
  const int64_t even = ceil_divide(rows, ceil_divide(rows, kMaxRows));
  return ceil_divide(even, kRowStep) * kRowStep;
}

class Sum {
 public:
  explicit Sum(const OuterProducts& products)
      : p_(products),
        panels_of_g_(ceil_divide(products.m, kColumnsOfG)),
        panels_of_x_(ceil_divide(products.k, kColumnsOfX)),
        block_rows_(rows_of_block(products.n)),
        memory_(at::empty({size_of_g() + panels_of_x_ * kColumnsOfX * block_rows_},
                          torch::dtype(torch::kBFloat16))) {}

  void run() const {
    for (int64_t row = 0; row < p_.n; row += block_rows_)
      add_block(row, std::min(block_rows_, p_.n - row), row > 0 || p_.gather == Gather::add);
  }

 private:
  // Of the panels of g, in values; those of x follow at an address that is as aligned.
  int64_t size_of_g() const {
    constexpr int64_t kAlignment = 32;
    return ceil_divide(panels_of_g_ * kColumnsOfG * block_rows_, kAlignment) * kAlignment;
  }

  void add_block(int64_t row, int64_t rows, bool add) const {
    auto* const panels = static_cast<Bf16*>(memory_.data_ptr());
    const PanelPacking of_g{.factor = p_.g, .width = p_.m, .first = row, .count = rows, .panels = panels};
    const PanelPacking of_x{
        .factor = p_.x, .width = p_.k, .first = row, .count = rows, .panels = panels + size_of_g()};
    constexpr int64_t kPairsWorthAThread = 8;
    at::parallel_for(0, of_g.pairs(), kPairsWorthAThread, [&](int64_t begin, int64_t end) {
      kernel_.pack_g(of_g, begin, end);
      kernel_.pack_x(of_x, begin, end);
    });
    const PanelProduct product{.of_g = of_g.panels,
                               .of_x = of_x.panels,
                               .m = p_.m,
                               .k = p_.k,
                               .pairs = of_g.pairs(),
                               .sums = p_.sums,
                               .add = add,
                               .past_the_cache = !add && row + rows == p_.n && may_pass_the_cache(),
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

  // Whole lines written past the cache need not be read first. Gradients of this size are next wanted by the
  // optimizer, when they have long left the cache.
  bool may_pass_the_cache() const {
    constexpr int64_t kLine = 64, kBytes = 1 << 20;
    const int64_t row_bytes = p_.k * static_cast<int64_t>(sizeof(float));
    return reinterpret_cast<uintptr_t>(p_.sums) % kLine == 0 && row_bytes % kLine == 0 &&
           row_bytes * p_.m >= kBytes;
  }

  Ahead rows_ahead(const Bf16* factor, int64_t width, int64_t row) const {
    const int64_t rows = std::min(block_rows_, p_.n - row);
    return {.data = factor + row * width, .bytes = rows * width * static_cast<int64_t>(sizeof(Bf16))};
  }

  const OuterProducts& p_;
  OuterProductKernel kernel_ = avx512_bf16_outer_products();
  int64_t panels_of_g_, panels_of_x_, block_rows_;
  torch::Tensor memory_;  // bf16
};

}  // namespace

bool can_sum_outer_products() {
  return usable_instructions() == InstructionSet::avx512_bf16 &&
         avx512_bf16_outer_products().multiply != nullptr;
}

void sum_outer_products(const OuterProducts& products) {
  CAVMAE_CHECK(can_sum_outer_products(), "this processor has no products in bf16");
  if (products.m == 0 || products.k == 0) return;
  if (products.n == 0) {
    if (products.gather == Gather::replace) std::fill_n(products.sums, products.m * products.k, 0.0f);
    return;
  }
  Sum(products).run();
}

}  // namespace cavmae::kernels
