// The gradients of the attention of one head on tiles; see Note [Attention on tiles]. Included after the Simd
// type of a version.
#pragma once

#include "cavmae/kernels/tile_attention_forward.h"

namespace cavmae::kernels {
namespace {

// The same products as in attention_backward.h. P and dS are computed transposed, keys by queries, so that
// they are factor A of d_v and d_k as they come; paired by keys dS is factor B of d_q, which is summed
// transposed: d_q^T = K^T dS^T. The tiles begin with what is subtracted from the products, log_sum_exp and
// delta in every row, so that weights need no division and dS no subtraction.
// A chunk of blocks of keys by blocks of queries at a time: each gradient is loaded once and stored once a
// chunk.
template <class V>
class TileHeadGradients {
 public:
  TileHeadGradients(const HeadBackward& task, void* scratch)
      : task_(task),
        query_blocks_(tile_blocks(task.sizes.queries)),
        key_blocks_(tile_blocks(task.sizes.keys)),
        steps_(tile_blocks(task.sizes.width)),
        pieces_(scratch) {
    const int64_t query_units = query_blocks_ * steps_ * kUnitsOfBlock;
    const int64_t key_units = key_blocks_ * steps_ * kUnitsOfBlock;
    for (PackedQueries* packed : {&queries_, &d_out_})
      *packed = {pieces_.take<Unit>(query_units), pieces_.take<Unit>(query_units)};
    key_rows_ = pieces_.take<Unit>(key_units);
    key_columns_ = pieces_.take<Unit>(key_units);
    value_rows_ = pieces_.take<Unit>(key_units);
    minus_log_sums_ = pieces_.take<float>(query_blocks_ * kTileBlock);
    minus_delta_ = pieces_.take<float>(query_blocks_ * kTileBlock);
    d_q_ = pieces_.take<float>(query_blocks_ * steps_ * kSumsOfBlock);
    d_k_ = pieces_.take<float>(kChunk * steps_ * kSumsOfBlock);
    d_v_ = pieces_.take<float>(kChunk * steps_ * kSumsOfBlock);
    scores_ = pieces_.take<float>(kSumsOfBlock);
    of_weights_ = pieces_.take<float>(kSumsOfBlock);
    weights_ = pieces_.take<Unit>(kChunk * kChunk * kUnitsOfBlock);
    d_scores_ = pieces_.take<Unit>(kChunk * kChunk * kUnitsOfBlock);
    paired_d_scores_ = pieces_.take<Unit>(kChunk * kChunk * kUnitsOfBlock);
    rows_ = {pieces_.take<Unit>(steps_ * kUnitsOfBlock), pieces_.take<Unit>(steps_ * kUnitsOfBlock)};
  }

  size_t scratch_bytes() const { return pieces_.bytes(); }

  void run() {
    pack();
    for (int64_t block = 0; block < query_blocks_; ++block) prepare_queries(block);
    fetcher_ = fetcher_of_next();
    std::fill_n(d_q_, query_blocks_ * steps_ * kSumsOfBlock, 0.0f);
    Tiles::configure(TileShapes::all_whole());
    for (int64_t key = 0; key < key_blocks_; key += kChunk) {
      const int64_t keys = std::min(kChunk, key_blocks_ - key);
      std::fill_n(d_k_, keys * steps_ * kSumsOfBlock, 0.0f);
      std::fill_n(d_v_, keys * steps_ * kSumsOfBlock, 0.0f);
      for (int64_t query = 0; query < query_blocks_; query += kChunk)
        add_chunk(
            {.key = key, .keys = keys, .query = query, .queries = std::min(kChunk, query_blocks_ - query)});
      for (int64_t i = 0; i < keys; ++i) write_keys(key, i);
    }
    Tiles::release();
    for (int64_t block = 0; block < query_blocks_; ++block) write_queries(block);
  }

 private:
  using Tiles = typename V::Tiles;
  using S = typename V::Simd;
  using Vec = typename S::Vec;
  using Unit = uint32_t;
  using Sums = BlockSums<Tiles>;
  static constexpr int64_t kChunk = 2;  // blocks of keys, and of queries

  struct PackedQueries {
    Unit *columns, *rows;  // [M][d] of B, M columns; [d][M] of B, d columns
  };
  struct Chunk {
    int64_t key, keys, query, queries;  // in blocks: the first and how many
  };

  float root() const { return std::sqrt(static_cast<float>(task_.sizes.width)); }
  static int64_t slot(int64_t key, int64_t query) { return (key * kChunk + query) * kUnitsOfBlock; }

  void pack() {
    const HeadSizes& sizes = task_.sizes;
    const auto pack_queries = [&](const ConstHeadRows& source, const PackedQueries& packed) {
      pack_head<V>(&TilePackers::columns_as_b, source, sizes.queries, sizes.width, packed.columns);
      pack_head<V>(&TilePackers::rows_as_b, source, sizes.queries, sizes.width, packed.rows);
    };
    pack_queries(task_.q, queries_);
    pack_queries(task_.d_out, d_out_);
    pack_head<V>(&TilePackers::rows_as_a, task_.k, sizes.keys, sizes.width, key_rows_);
    pack_head<V>(&TilePackers::columns_as_a, task_.k, sizes.keys, sizes.width, key_columns_);
    pack_head<V>(&TilePackers::rows_as_a, task_.v, sizes.keys, sizes.width, value_rows_);
  }

  // What the tiles begin with: -log_sum_exp, in units of the products, and -delta.
  void prepare_queries(int64_t block) {
    const HeadSizes& sizes = task_.sizes;
    const int64_t first = block * kTileBlock, count = std::min(kTileBlock, sizes.queries - first);
    const auto block_of = [&](ConstHeadRows rows) {
      rows.data = static_cast<const uint16_t*>(rows.data) + first * rows.row_stride;
      return rows;
    };
    pack_head<V>(&TilePackers::rows_as_a, block_of(task_.out), count, sizes.width, rows_.out);
    pack_head<V>(&TilePackers::rows_as_a, block_of(task_.d_out), count, sizes.width, rows_.d_out);
    for (int64_t i = 0; i < kTileBlock; i += S::kLanes) {
      const int64_t at = i * kUnitsOfRow;
      S::store(minus_delta_ + first + i,
               S::set(0.0f) - products_of_rows<S>(rows_.out + at, rows_.d_out + at, steps_));
    }
    for (int64_t i = 0; i < kTileBlock; ++i)
      minus_log_sums_[first + i] = i < count ? -task_.log_sum_exp[first + i] * root() : 0.0f;
  }

  Fetcher fetcher_of_next() const {
    Fetcher fetcher;
    if (task_.next == nullptr) return fetcher;
    const HeadBackward& next = *task_.next;
    for (const ConstHeadRows* rows : {&next.q, &next.d_out, &next.out})
      fetcher.add(*rows, next.sizes.queries, next.sizes);
    for (const ConstHeadRows* rows : {&next.k, &next.v}) fetcher.add(*rows, next.sizes.keys, next.sizes);
    fetcher.spread_over(query_blocks_ * key_blocks_);
    return fetcher;
  }

  void add_chunk(const Chunk& chunk) {
    for (int64_t i = 0; i < chunk.keys; ++i)
      for (int64_t j = 0; j < chunk.queries; ++j) {
        fetcher_.fetch();
        multiply(chunk.key + i, chunk.query + j);
        weigh(slot(i, j), std::min(kTileBlock, task_.sizes.keys - (chunk.key + i) * kTileBlock));
      }
    for (int64_t i = 0; i < chunk.keys; ++i)
      for (int64_t step = 0; step < steps_; ++step) {
        const int64_t to = (i * steps_ + step) * kSumsOfBlock;
        add_queries(chunk, i, step, weights_, d_out_.rows, d_v_ + to);
        add_queries(chunk, i, step, d_scores_, queries_.rows, d_k_ + to);
      }
    for (int64_t j = 0; j < chunk.queries; ++j)
      for (int64_t step = 0; step < steps_; ++step) add_keys(chunk, j, step);
  }

  // Scores less their logarithm of sums, and gradients of the weights less delta.
  CAVMAE_INLINE void multiply(int64_t key, int64_t query) {
    multiply_onto(minus_log_sums_, key_rows_, queries_.columns, key, query, scores_);
    multiply_onto(minus_delta_, value_rows_, d_out_.columns, key, query, of_weights_);
  }
  CAVMAE_INLINE void multiply_onto(const float* row, const Unit* a, const Unit* b, int64_t key, int64_t query,
                                   float* to) const {
    Sums::load_repeated(row + query * kTileBlock);
    for (int64_t step = 0; step < steps_; ++step)
      Sums::template add_product</*kPastL1=*/true>(a + (key * steps_ + step) * kUnitsOfBlock,
                                                   b + (query * steps_ + step) * kUnitsOfBlock);
    Sums::store(to);
  }

  // P^T and dS^T of a block. Past the last key they are zero: weights there were never bounded.
  __attribute__((noinline)) void weigh(int64_t slot, int64_t keys) {
    const Vec scales = S::set(kLog2E / root());
    Unit *const weights = weights_ + slot, *const d_scores = d_scores_ + slot;
    for (int64_t row = 0; row < keys; ++row) {
      const float* const scores = scores_ + row * kTileBlock;
      const float* const of_weights = of_weights_ + row * kTileBlock;
      const Vec left = S::exp2(S::load_floats(scores) * scales);
      const Vec right = S::exp2(S::load_floats(scores + S::kLanes) * scales);
      S::store_units(weights + row * kUnitsOfRow, left, right);
      S::store_units(d_scores + row * kUnitsOfRow, left * S::load_floats(of_weights),
                     right * S::load_floats(of_weights + S::kLanes));
    }
    std::fill(weights + keys * kUnitsOfRow, weights + kUnitsOfBlock, 0u);
    std::fill(d_scores + keys * kUnitsOfRow, d_scores + kUnitsOfBlock, 0u);
    for (int64_t at = 0; at < kUnitsOfBlock; at += 2 * kUnitsOfRow)
      S::stack(d_scores + at, d_scores + at + kUnitsOfRow, paired_d_scores_ + slot + at);
  }

  // Sums over a chunk's queries for block i of its keys.
  CAVMAE_INLINE void add_queries(const Chunk& chunk, int64_t i, int64_t step, const Unit* a, const Unit* b,
                                 float* sums) const {
    Sums::load(sums);
    for (int64_t j = 0; j < chunk.queries; ++j)
      Sums::template add_product</*kPastL1=*/true>(
          a + slot(i, j), b + (step * query_blocks_ + chunk.query + j) * kUnitsOfBlock);
    Sums::store(sums);
  }

  // Sums over a chunk's keys for block j of its queries.
  CAVMAE_INLINE void add_keys(const Chunk& chunk, int64_t j, int64_t step) {
    float* const sums = d_q_ + ((chunk.query + j) * steps_ + step) * kSumsOfBlock;
    Sums::load(sums);
    for (int64_t i = 0; i < chunk.keys; ++i)
      Sums::template add_product</*kPastL1=*/false>(
          key_columns_ + (step * key_blocks_ + chunk.key + i) * kUnitsOfBlock, paired_d_scores_ + slot(i, j));
    Sums::store(sums);
  }

  // Block i of the chunk that begins at block `key`.
  void write_keys(int64_t key, int64_t i) {
    const HeadSizes& sizes = task_.sizes;
    const float scale = 1.0f / root();
    for (int64_t step = 0; step < steps_; ++step) {
      const int64_t from = (i * steps_ + step) * kSumsOfBlock;
      const BlockPlace of_keys(task_.d_k, key + i, sizes.keys, step, sizes.width);
      const BlockPlace of_values(task_.d_v, key + i, sizes.keys, step, sizes.width);
      write_block<S>(d_k_ + from, of_keys, [&](int64_t) { return scale; });
      write_block<S>(d_v_ + from, of_values, [](int64_t) { return 1.0f; });
    }
  }

  void write_queries(int64_t block) {
    const HeadSizes& sizes = task_.sizes;
    const float scale = 1.0f / root();
    for (int64_t step = 0; step < steps_; ++step) {
      transpose_block<S>(d_q_ + (block * steps_ + step) * kSumsOfBlock, scores_);
      write_block<S>(scores_, BlockPlace(task_.d_q, block, sizes.queries, step, sizes.width),
                     [&](int64_t) { return scale; });
    }
  }

  const HeadBackward& task_;
  int64_t query_blocks_, key_blocks_, steps_;  // steps: of d
  Pieces pieces_;
  PackedQueries queries_, d_out_;
  Unit *key_rows_, *key_columns_, *value_rows_;  // [L][d], [d][L] and [L][d] of A
  float *minus_log_sums_, *minus_delta_;         // [M]
  float* d_q_;                                   // [M][d], each block transposed
  // Of a chunk: [keys][d]; of a block, keys by queries; [keys][queries] as A, as A and as B.
  float *d_k_, *d_v_, *scores_, *of_weights_;
  Unit *weights_, *d_scores_, *paired_d_scores_;
  struct {
    Unit *out, *d_out;
  } rows_;  // of a block of queries
  Fetcher fetcher_;
};

}  // namespace
}  // namespace cavmae::kernels
