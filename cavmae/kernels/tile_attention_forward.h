// The attention of one head on tiles; see Note [Attention on tiles]. Included after the Simd type of a
// version.
#pragma once

#include "cavmae/kernels/tile_attention.h"

namespace cavmae::kernels {
namespace {

// A block of queries goes over the keys in chunks: products of all blocks of the chunk, weights of all, then
// their products with the values, summed in floats over the chunks. See Note [Shift] for the exponentials.
template <class V>
class TileHeadAttention {
 public:
  TileHeadAttention(const HeadForward& task, void* scratch)
      : task_(task),
        query_blocks_(tile_blocks(task.sizes.queries)),
        key_blocks_(tile_blocks(task.sizes.keys)),
        steps_(tile_blocks(task.sizes.width)),
        pieces_(scratch) {
    queries_ = pieces_.take<Unit>(query_blocks_ * steps_ * kUnitsOfBlock);
    keys_ = pieces_.take<Unit>(key_blocks_ * steps_ * kUnitsOfBlock);
    values_ = pieces_.take<Unit>(key_blocks_ * steps_ * kUnitsOfBlock);
    scores_ = pieces_.take<float>(kChunk * kSumsOfBlock);
    weights_ = pieces_.take<Unit>(kChunk * kUnitsOfBlock);
    out_ = pieces_.take<float>(steps_ * kSumsOfBlock);
    weight_sums_ = pieces_.take<Vec>(kTileBlock);
    shifts_ = pieces_.take<float>(kTileBlock);
    inverse_sums_ = pieces_.take<float>(kTileBlock);
  }

  size_t scratch_bytes() const { return pieces_.bytes(); }

  void run() {
    const HeadSizes& sizes = task_.sizes;
    pack_head<V>(&TilePackers::rows_as_a, task_.q, sizes.queries, sizes.width, queries_);
    pack_head<V>(&TilePackers::columns_as_b, task_.k, sizes.keys, sizes.width, keys_);
    pack_head<V>(&TilePackers::rows_as_b, task_.v, sizes.keys, sizes.width, values_);
    longest_key_ = longest_key();
    fetcher_ = fetcher_of_next();
    if (key_blocks_ == 0) std::fill_n(out_, steps_ * kSumsOfBlock, 0.0f);
    Tiles::configure(TileShapes::all_whole());
    for (int64_t block = 0; block < query_blocks_; ++block) attend(block);
    Tiles::release();
  }

 private:
  using Tiles = typename V::Tiles;
  using S = typename V::Simd;
  using Vec = typename S::Vec;
  using Unit = uint32_t;
  using Sums = BlockSums<Tiles>;
  static constexpr int64_t kChunk = 4;  // blocks of keys whose products and weights L1 holds

  float scale() const { return kLog2E / std::sqrt(static_cast<float>(task_.sizes.width)); }
  // How many keys there are of a block from its `first` on.
  int64_t keys_of(int64_t block, int64_t first) const {
    return std::max<int64_t>(task_.sizes.keys - block * kTileBlock - first, 0);
  }

  Fetcher fetcher_of_next() const {
    Fetcher fetcher;
    if (task_.next == nullptr) return fetcher;
    const HeadForward& next = *task_.next;
    fetcher.add(next.q, next.sizes.queries, next.sizes);
    fetcher.add(next.k, next.sizes.keys, next.sizes);
    fetcher.add(next.v, next.sizes.keys, next.sizes);
    fetcher.spread_over(query_blocks_ * ceil_divide(key_blocks_, kChunk));
    return fetcher;
  }

  // Squared.
  float longest_key() const {
    Vec longest = {};
    for (int64_t block = 0; block < key_blocks_; ++block)
      for (int64_t first = 0; first < kTileBlock; first += S::kLanes) {
        const Unit* const keys = keys_ + block * steps_ * kUnitsOfBlock + first;
        Vec squares = {};
        for (int64_t pair = 0; pair < steps_ * kTileBlock / 2; ++pair) {
          Vec first_of, second_of;
          widen_pairs<S>(keys + pair * kTileBlock, first_of, second_of);
          squares = squares + first_of * first_of + second_of * second_of;
        }
        longest = S::max(longest, squares);
      }
    float most = 0.0f;
    for (int i = 0; i < S::kLanes; ++i) most = std::max(most, longest[i]);
    return most;
  }

  void attend(int64_t block) {
    choose_shifts(block);
    std::fill_n(weight_sums_, kTileBlock, Vec{});
    for (int64_t first = 0; first < key_blocks_; first += kChunk) {
      const int64_t count = std::min(kChunk, key_blocks_ - first);
      fetcher_.fetch();
      for (int64_t i = 0; i < count; ++i) multiply_keys(block, first + i, scores_ + i * kSumsOfBlock);
      const bool whole = (first + count) * kTileBlock <= task_.sizes.keys;
      whole ? weigh<false>(first, count) : weigh<true>(first, count);
      for (int64_t step = 0; step < steps_; ++step) add_values(first, count, step);
    }
    finish(block);
  }

  // See Note [Shift].
  void choose_shifts(int64_t block) {
    const float safe = kSafeExponent / scale();
    const Unit* const queries = queries_ + block * steps_ * kUnitsOfBlock;
    bool all_safe = true;
    for (int64_t first = 0; first < kTileBlock; first += S::kLanes) {
      const Unit* const rows = queries + first * kUnitsOfRow;
      const Vec bound = products_of_rows<S>(rows, rows, steps_) * longest_key_;
      for (int i = 0; i < S::kLanes; ++i) {
        const bool is_safe = bound[i] <= safe * safe;
        shifts_[first + i] = is_safe ? 0.0f : 1.0f;
        all_safe = all_safe && is_safe;
      }
    }
    if (!all_safe) shift_by_greatest(block);
  }

  __attribute__((noinline)) void shift_by_greatest(int64_t block) {
    Vec greatest[kTileBlock];
    std::fill_n(greatest, kTileBlock, S::set(-INFINITY));
    for (int64_t key_block = 0; key_block < key_blocks_; ++key_block) {
      multiply_keys(block, key_block, scores_);
      for (int64_t row = 0; row < kTileBlock; ++row)
        for (int64_t first = 0; first < kTileBlock; first += S::kLanes)
          greatest[row] =
              S::max(greatest[row], S::keep_first(S::load_floats(scores_ + row * kTileBlock + first),
                                                  keys_of(key_block, first), -INFINITY));
    }
    for (int64_t row = 0; row < kTileBlock; ++row) {
      float most = greatest[row][0];
      for (int lane = 1; lane < S::kLanes; ++lane) most = std::max(most, greatest[row][lane]);
      if (shifts_[row] != 0.0f) shifts_[row] = most * scale();
    }
  }

  CAVMAE_INLINE void multiply_keys(int64_t query_block, int64_t key_block, float* scores) const {
    Sums::zero();
    for (int64_t step = 0; step < steps_; ++step)
      Sums::template add_product</*kPastL1=*/true>(queries_ + (query_block * steps_ + step) * kUnitsOfBlock,
                                                   keys_ + (key_block * steps_ + step) * kUnitsOfBlock);
    Sums::store(scores);
  }

  // The weights of a chunk of keys; kEdge: past the last key they are zero.
  template <bool kEdge>
  __attribute__((noinline)) void weigh(int64_t first_block, int64_t count) {
    const Vec scales = S::set(scale());
    for (int64_t row = 0; row < kTileBlock; ++row) {
      const Vec shift = S::set(shifts_[row]);
      Vec sum = weight_sums_[row];
      for (int64_t i = 0; i < count; ++i) {
        const float* const scores = scores_ + i * kSumsOfBlock + row * kTileBlock;
        Vec left = S::exp2(S::multiply_subtract(S::load_floats(scores), scales, shift));
        Vec right = S::exp2(S::multiply_subtract(S::load_floats(scores + S::kLanes), scales, shift));
        if constexpr (kEdge) {
          left = S::keep_first(left, keys_of(first_block + i, 0), 0.0f);
          right = S::keep_first(right, keys_of(first_block + i, S::kLanes), 0.0f);
        }
        sum = sum + (left + right);
        S::store_units(weights_ + i * kUnitsOfBlock + row * kUnitsOfRow, left, right);
      }
      weight_sums_[row] = sum;
    }
  }

  CAVMAE_INLINE void add_values(int64_t first_block, int64_t count, int64_t step) {
    float* const out = out_ + step * kSumsOfBlock;
    first_block == 0 ? Sums::zero() : Sums::load(out);
    for (int64_t i = 0; i < count; ++i)
      Sums::template add_product</*kPastL1=*/true>(
          weights_ + i * kUnitsOfBlock, values_ + (step * key_blocks_ + first_block + i) * kUnitsOfBlock);
    Sums::store(out);
  }

  void finish(int64_t block) {
    const HeadSizes& sizes = task_.sizes;
    for (int64_t first = 0; first < kTileBlock; first += S::kLanes) {
      const Vec sums = sums_of<S>(weight_sums_ + first);
      S::store(inverse_sums_ + first, S::set(1.0f) / sums);
      const int64_t row = block * kTileBlock + first;
      if (task_.log_sum_exp == nullptr || row >= sizes.queries) continue;
      float logs[S::kLanes];
      S::store(logs, (log2_of<S>(sums) + S::load_floats(shifts_ + first)) * S::set(kLn2));
      std::copy_n(logs, std::min<int64_t>(S::kLanes, sizes.queries - row), task_.log_sum_exp + row);
    }
    for (int64_t step = 0; step < steps_; ++step)
      write_block<S>(out_ + step * kSumsOfBlock,
                     BlockPlace(task_.out, block, sizes.queries, step, sizes.width),
                     [&](int64_t row) { return sizes.keys == 0 ? 1.0f : inverse_sums_[row]; });
  }

  const HeadForward& task_;
  int64_t query_blocks_, key_blocks_, steps_;  // steps: of d
  Pieces pieces_;
  Unit *queries_, *keys_, *values_;  // [M][d] of A; [L][d] of B, L columns; [d][L] of B, d columns
  float longest_key_ = 0.0f;
  // Of a block of queries.
  float* scores_;     // by a chunk of keys
  Unit* weights_;     // the same, as A
  float* out_;        // [d], not yet divided by the sums
  Vec* weight_sums_;  // of each query, in kLanes parts
  float *shifts_, *inverse_sums_;
  Fetcher fetcher_;
};

}  // namespace
}  // namespace cavmae::kernels
