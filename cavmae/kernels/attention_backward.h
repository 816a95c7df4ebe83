// The gradients of the attention of one head; see Note [Attention kernel]. Included after the Simd types of a
// version.
#pragma once

#include <cmath>

#include "cavmae/kernels/attention_forward.h"

namespace cavmae::kernels {
namespace {

// With weights P = exp(scale q k^T - log_sum_exp), which are computed anew, and delta = rowsum(d_out * out):
//   d_v = P^T d_out    dS = P * (d_out v^T - delta)    d_k = scale dS^T q    d_q = scale dS k
// Dao et al., NeurIPS 2022, Algorithm 4. P and dS are computed transposed, a tile of keys by a block of
// queries at a time: as they come out of the registers they are factor A of d_v and d_k. The gradients of a
// block of keys are summed over all queries before the next block is begun; those of the queries are summed
// in float over the blocks of keys.
template <class S, int kWidth>
class HeadGradients {
 public:
  HeadGradients(const HeadBackward& task, void* scratch) : task_(task), pieces_(scratch) {
    const int64_t queries = padded_rows<S>(task.sizes.queries), keys = padded_rows<S>(task.sizes.keys);
    const int64_t most = std::max(queries, keys);
    rows_ = pieces_.take<Unit>(most * kPitch);
    queries_ = {pieces_.take<Unit>(queries * kPitch), pieces_.take<Unit>(queries * kPitch)};
    d_out_ = {pieces_.take<Unit>(queries * kPitch), pieces_.take<Unit>(queries * kPitch)};
    key_rows_ = pieces_.take<Unit>(keys * kPitch);
    value_rows_ = pieces_.take<Unit>(keys * kPitch);
    stacked_keys_ = S::kDepth == 1 ? key_rows_ : pieces_.take<Unit>(keys * kPitch);
    shifts_ = pieces_.take<float>(queries);
    inverse_sums_ = pieces_.take<float>(queries);
    delta_ = pieces_.take<float>(queries);
    d_q_ = pieces_.take<float>(queries * kWidth);
    d_k_ = pieces_.take<float>(S::kKeyBlock * kWidth);
    d_v_ = pieces_.take<float>(S::kKeyBlock * kWidth);
    d_products_ = pieces_.take<Unit>(S::kKeyBlock * kBlockPitch);
    stacked_d_products_ = S::kDepth == 1 ? d_products_ : pieces_.take<Unit>(S::kKeyBlock * kBlockPitch);
  }

  size_t scratch_bytes() const { return pieces_.bytes(); }

  void run() {
    const HeadSizes& sizes = task_.sizes;
    pack();
    std::fill_n(d_q_, padded_rows<S>(sizes.queries) * kWidth, 0.0f);
    fetcher_ = fetcher_of_next();
    for (int64_t key = 0; key < sizes.keys; key += S::kKeyBlock) {
      const int64_t keys = std::min<int64_t>(S::kKeyBlock, sizes.keys - key);
      std::fill_n(d_k_, S::kKeyBlock * kWidth, 0.0f);
      std::fill_n(d_v_, S::kKeyBlock * kWidth, 0.0f);
      for (int64_t query = 0; query < sizes.queries; query += S::kQueryBlock)
        add_block({.key = key,
                   .keys = keys,
                   .query = query,
                   .queries = std::min<int64_t>(S::kQueryBlock, sizes.queries - query)});
      write_rows<S, kWidth>(d_k_, keys, sizes, task_.d_k, key, [&](int64_t) { return scale(); });
      write_rows<S, kWidth>(d_v_, keys, sizes, task_.d_v, key, [](int64_t) { return 1.0f; });
    }
    write_rows<S, kWidth>(d_q_, sizes.queries, sizes, task_.d_q, 0, [&](int64_t) { return scale(); });
  }

 private:
  using Vec = typename S::Vec;
  using Unit = typename S::Unit;
  struct FactorB {
    Unit *transposed, *stacked;
  };
  struct Block {
    int64_t key, keys, query, queries;  // first and how many
  };
  static constexpr int64_t kPitch = kWidth / S::kDepth;
  static constexpr int64_t kBlockPitch = S::kQueryBlock / S::kDepth;
  static constexpr Layout kRowsOfA = {.apart = kPitch, .step = 1};
  static constexpr Layout kTransposed = {.apart = kPitch * S::kLanes, .step = S::kLanes};
  static constexpr Layout kStacked = {.apart = S::kLanes, .step = kWidth};
  static constexpr Layout kBlockRows = {.apart = kBlockPitch, .step = 1};
  static constexpr Layout kBlockColumns = {.apart = 1, .step = S::kQueryBlock};

  float scale() const { return 1.0f / std::sqrt(static_cast<float>(task_.sizes.width)); }
  int64_t steps_of_width() const { return (task_.sizes.width + S::kDepth - 1) / S::kDepth; }
  static int64_t steps_of(int64_t rows) { return (rows + S::kDepth - 1) / S::kDepth; }

  void pack() {
    const HeadSizes& sizes = task_.sizes;
    const int64_t queries = padded_rows<S>(sizes.queries), keys = padded_rows<S>(sizes.keys);
    pack_factor_b(task_.q, queries_);
    pack_rows<S, kWidth>(task_.k, sizes, 0, sizes.keys, keys, key_rows_);
    pack_rows<S, kWidth>(task_.v, sizes, 0, sizes.keys, keys, value_rows_);
    if constexpr (S::kDepth == 2) pack_stacked<S, kWidth>(key_rows_, sizes.width, keys, stacked_keys_);
    const Unit* const d_out = pack_factor_b(task_.d_out, d_out_);
    // `rows_` may hold d_out: the rows of `out` go where the gradients of the products will be.
    for (int64_t row = 0; row < queries; row += S::kLanes) add_delta(d_out, row);
    for (int64_t row = 0; row < queries; row += S::kLanes) split_sums(row);
  }

  // Note [Shift] again: P = 2^(product - shift) * 2^(shift - log2 of the sum). Within the safe range the
  // first factor has the bits of the forward pass, and what the second lacks in precision is common to a
  // query's weights and cancels in dS, which sums to 0.
  void split_sums(int64_t row) {
    for (int64_t i = row; i < row + S::kLanes; ++i) {
      const float log2_sum = i < task_.sizes.queries ? task_.log_sum_exp[i] * kLog2E : 0.0f;
      shifts_[i] = std::abs(log2_sum) > kSafeExponent + 40.0f ? log2_sum : 0.0f;
      inverse_sums_[i] = shifts_[i] - log2_sum;
    }
    S::store(inverse_sums_ + row, S::precise_exp2(S::load_floats(inverse_sums_ + row)));
  }

  // Returns them as rows, too.
  const Unit* pack_factor_b(const ConstHeadRows& source, const FactorB& target) {
    const HeadSizes& sizes = task_.sizes;
    const int64_t queries = padded_rows<S>(sizes.queries);
    Unit* const rows = S::kDepth == 1 ? target.stacked : rows_;
    pack_rows<S, kWidth>(source, sizes, 0, sizes.queries, queries, rows);
    pack_transposed<S, kWidth>(rows, sizes.width, round_up(queries, S::kLanes), target.transposed);
    if constexpr (S::kDepth == 2) pack_stacked<S, kWidth>(rows, sizes.width, queries, target.stacked);
    return rows;
  }

  void add_delta(const Unit* d_out, int64_t row) {
    static_assert(S::kLanes * kPitch <= S::kKeyBlock * kWidth);
    auto* const out = reinterpret_cast<Unit*>(d_k_);  // not in use yet
    const int64_t count = std::clamp<int64_t>(task_.sizes.queries - row, 0, S::kLanes);
    pack_rows<S, kWidth>(task_.out, task_.sizes, row, count, S::kLanes, out);
    Vec products[S::kLanes] = {};
    for (int j = 0; j < S::kLanes; ++j)
      for (int64_t i = 0; i < steps_of_width(); i += S::kLanes)
        products[j] =
            S::dot(products[j], S::load(out + j * kPitch + i), S::load(d_out + (row + j) * kPitch + i));
    S::store(delta_ + row, sums_of<S>(products));
  }

  Fetcher fetcher_of_next() const {
    Fetcher fetcher;
    if (task_.next == nullptr) return fetcher;
    const HeadBackward& next = *task_.next;
    for (const ConstHeadRows* rows : {&next.q, &next.d_out, &next.out})
      fetcher.add(*rows, next.sizes.queries, next.sizes);
    for (const ConstHeadRows* rows : {&next.k, &next.v}) fetcher.add(*rows, next.sizes.keys, next.sizes);
    fetcher.spread_over(ceil_divide(task_.sizes.queries, S::kQueryBlock) *
                        ceil_divide(task_.sizes.keys, S::kRows));
    return fetcher;
  }

  void add_block(const Block& block) {
    for (int64_t row = 0; row < block.keys; row += S::kRows, fetcher_.fetch())
      with_tile_rows<S>(block.keys - row, [&]<int kTileRows>() { add_keys<kTileRows>(block, row); });
    if constexpr (S::kDepth == 2) stack_d_products(block.keys);
    for (int64_t row = 0; row < block.queries; row += S::kRows)
      with_tile_rows<S>(block.queries - row, [&]<int kTileRows>() { add_queries<kTileRows>(block, row); });
  }

  // A tile of keys from row `row` of the block on: weights, gradients of products, and what they add to the
  // gradients of keys and values.
  template <int kTileRows>
  __attribute__((noinline)) void add_keys(const Block& block, int64_t row) {
    alignas(64) Unit weights[kTileRows * kBlockPitch];
    int64_t column = 0;
    for (; column + 2 * S::kLanes <= round_up(block.queries, S::kLanes); column += 2 * S::kLanes)
      compute_weights<kTileRows, 2>(block, row, column, weights);
    if (column < block.queries) compute_weights<kTileRows, 1>(block, row, column, weights);
    const Unit* const d_products = d_products_ + row * kBlockPitch;
    for_each_column([&]<int kVecs>(int64_t first) {
      const int64_t steps = steps_of(block.queries), at = block.query * kPitch + first;
      add_to<kTileRows, kVecs, kBlockRows>(d_v_ + row * kWidth + first, weights, d_out_.stacked + at, steps);
      add_to<kTileRows, kVecs, kBlockRows>(d_k_ + row * kWidth + first, d_products, queries_.stacked + at,
                                           steps);
    });
  }

  template <int kTileRows, int kVecs>
  CAVMAE_INLINE void compute_weights(const Block& block, int64_t row, int64_t column, Unit* weights) {
    const int64_t query = block.query + column;
    const Unit* const values = value_rows_ + (block.key + row) * kPitch;
    const Unit* const keys = key_rows_ + (block.key + row) * kPitch;
    alignas(64) float of_weights[kTileRows][kVecs * S::kLanes];
    Vec x[kTileRows][kVecs];
#pragma GCC unroll 16
    for (int i = 0; i < kTileRows; ++i)
#pragma GCC unroll 16
      for (int vec = 0; vec < kVecs; ++vec)
        x[i][vec] = S::set(0.0f) - S::load_floats(delta_ + query + vec * S::kLanes);
    add_product<S, kRowsOfA, kTransposed>(x, values, d_out_.transposed + query * kPitch, steps_of_width());
#pragma GCC unroll 16
    for (int i = 0; i < kTileRows; ++i)
#pragma GCC unroll 16
      for (int vec = 0; vec < kVecs; ++vec) S::store(of_weights[i] + vec * S::kLanes, x[i][vec]);
#pragma GCC unroll 16
    for (int i = 0; i < kTileRows; ++i)
#pragma GCC unroll 16
      for (int vec = 0; vec < kVecs; ++vec) x[i][vec] = Vec{};
    add_product<S, kRowsOfA, kTransposed>(x, keys, queries_.transposed + query * kPitch, steps_of_width());
    const Vec scales = S::set(kLog2E / std::sqrt(static_cast<float>(task_.sizes.width)));
#pragma GCC unroll 16
    for (int i = 0; i < kTileRows; ++i) {
      Vec of_product[kVecs];
#pragma GCC unroll 16
      for (int vec = 0; vec < kVecs; ++vec) {
        const Vec shift = S::load_floats(shifts_ + query + vec * S::kLanes);
        x[i][vec] = S::exp2(S::multiply_subtract(x[i][vec], scales, shift)) *
                    S::load_floats(inverse_sums_ + query + vec * S::kLanes);
        of_product[vec] = x[i][vec] * S::load_floats(of_weights[i] + vec * S::kLanes);
      }
      Unit* const to_weights = weights + i * kBlockPitch + column / S::kDepth;
      Unit* const to_products = d_products_ + (row + i) * kBlockPitch + column / S::kDepth;
      if constexpr (kVecs == 2) {
        S::store_units(to_weights, x[i][0], x[i][1]);
        S::store_units(to_products, of_product[0], of_product[1]);
      } else {
        S::store_units(to_weights, x[i][0]);
        S::store_units(to_products, of_product[0]);
      }
    }
  }

  // As factor A of d_q: neighbours of a unit are keys. A key past the last is no neighbour: its weights were
  // never bounded.
  void stack_d_products(int64_t keys) {
    if (keys % 2 != 0) std::fill_n(d_products_ + keys * kBlockPitch, kBlockPitch, Unit{});
    for (int64_t row = 0; row < keys; row += 2)
      for (int64_t i = 0; i < kBlockPitch; i += S::kLanes)
        S::stack(d_products_ + row * kBlockPitch + i, d_products_ + (row + 1) * kBlockPitch + i,
                 stacked_d_products_ + row * kBlockPitch + 2 * i);
  }

  // A tile of queries from row `row` of the block on.
  template <int kTileRows>
  __attribute__((noinline)) void add_queries(const Block& block, int64_t row) {
    for_each_column([&]<int kVecs>(int64_t first) {
      add_to<kTileRows, kVecs, kBlockColumns>(
          d_q_ + (block.query + row) * kWidth + first, stacked_d_products_ + row,
          stacked_keys_ + block.key * kPitch + first, steps_of(block.keys));
    });
  }

  template <class Work>
  CAVMAE_INLINE void for_each_column(const Work& work) const {
    const int64_t width = round_up(task_.sizes.width, S::kLanes);
    int64_t column = 0;
    for (; column + 2 * S::kLanes <= width; column += 2 * S::kLanes) work.template operator()<2>(column);
    if (column < width) work.template operator()<1>(column);
  }

  template <int kTileRows, int kVecs, Layout kA>
  CAVMAE_INLINE static void add_to(float* target, const Unit* a, const Unit* b, int64_t steps) {
    Vec sums[kTileRows][kVecs];
#pragma GCC unroll 16
    for (int i = 0; i < kTileRows; ++i)
#pragma GCC unroll 16
      for (int vec = 0; vec < kVecs; ++vec)
        sums[i][vec] = S::load_floats(target + i * kWidth + vec * S::kLanes);
    add_product<S, kA, kStacked>(sums, a, b, steps);
#pragma GCC unroll 16
    for (int i = 0; i < kTileRows; ++i)
#pragma GCC unroll 16
      for (int vec = 0; vec < kVecs; ++vec) S::store(target + i * kWidth + vec * S::kLanes, sums[i][vec]);
  }

  const HeadBackward& task_;
  Pieces pieces_;
  Unit* rows_;
  FactorB queries_, d_out_;
  Unit *key_rows_, *value_rows_, *stacked_keys_;
  float *shifts_, *inverse_sums_, *delta_;  // [M]
  float *d_q_, *d_k_, *d_v_;                // [M, kWidth]; of a block of keys
  Unit *d_products_, *stacked_d_products_;  // of a block: [keys][queries], as rows and stacked
  Fetcher fetcher_;
};

}  // namespace
}  // namespace cavmae::kernels
