// The attention of one head; see Note [Attention kernel]. Included after the Simd types of a version.
#pragma once

#include <cmath>

#include "cavmae/kernels/attention_tile.h"

namespace cavmae::kernels {
namespace {

constexpr float kLog2E = 1.44269504f;
constexpr float kLn2 = 0.693147181f;

// log2 of positive numbers. x = 2^e m with m around 1; log(m) = 2 atanh((m - 1) / (m + 1)), whose series is
// cut where terms fall below 1e-8. A number that is none stays so.
template <class S>
CAVMAE_INLINE typename S::Vec log2_of(typename S::Vec x) {
  using Vec = typename S::Vec;
  using Bits = typename S::Bits;
  constexpr int32_t kBitsOfSqrtHalf = 0x3f3504f3, kExponentBit = 23;
  const Bits bits = reinterpret_cast<Bits>(x), exponent = (bits - kBitsOfSqrtHalf) >> kExponentBit;
  const Vec m = reinterpret_cast<Vec>(bits - (exponent << kExponentBit)), one = S::set(1.0f);
  const Vec z = (m - one) / (m + one), z2 = z * z;
  const Vec series = ((S::set(1.0f / 7) * z2 + S::set(1.0f / 5)) * z2 + S::set(1.0f / 3)) * z2 + one;
  return __builtin_convertvector(exponent, Vec) + S::set(2.0f * kLog2E) * z * series + (x - x);
}

// Note [Shift]: softmax subtracts a number from the products of a query so that the exponentials stay finite,
// commonly the greatest product. Any number will do that keeps them within float's range. By Cauchy and
// Schwarz no product is greater than |q| max |k|; below kSafeExponent (in powers of 2) nothing need be
// subtracted, the greatest product need not be known, and a tile of weights never leaves the registers
// before it is final. Queries beyond it get one more pass over the keys, which finds their greatest product.
constexpr float kSafeExponent = 60.0f;

template <class S, int kWidth>
class HeadAttention {
 public:
  HeadAttention(const HeadForward& task, void* scratch) : task_(task), pieces_(scratch) {
    const int64_t queries = padded_rows<S>(task.sizes.queries), keys = padded_rows<S>(task.sizes.keys);
    queries_ = pieces_.take<Unit>(queries * kPitch);
    key_rows_ = pieces_.take<Unit>(keys * kPitch);
    keys_ = pieces_.take<Unit>(keys * kPitch);
    values_ = pieces_.take<Unit>(keys * kPitch);
    out_ = pieces_.take<float>(queries * kWidth);
    sums_ = pieces_.take<Vec>(queries);
    shifts_ = pieces_.take<float>(queries);
    inverse_sums_ = pieces_.take<float>(queries);
  }

  size_t scratch_bytes() const { return pieces_.bytes(); }

  void run() {
    pack();
    choose_shifts();
    std::fill_n(sums_, padded_rows<S>(task_.sizes.queries), Vec{});
    if (task_.sizes.keys == 0) std::fill_n(out_, padded_rows<S>(task_.sizes.queries) * kWidth, 0.0f);
    Fetcher fetcher = fetcher_of_next();
    for (int64_t key = 0; key < task_.sizes.keys; key += S::kKeyBlock) {
      const int64_t count = std::min<int64_t>(S::kKeyBlock, task_.sizes.keys - key);
      for_each_tile([&]<int kTileRows>(int64_t row) {
        fetcher.fetch();
        attend<kTileRows>(row, key, count);
      });
    }
    finish();
  }

 private:
  using Vec = typename S::Vec;
  using Unit = typename S::Unit;
  static constexpr int64_t kPitch = kWidth / S::kDepth;
  static constexpr Layout kRowsOfA = {.apart = kPitch, .step = 1};
  static constexpr Layout kTransposed = {.apart = kPitch * S::kLanes, .step = S::kLanes};
  static constexpr Layout kStacked = {.apart = S::kLanes, .step = kWidth};
  static constexpr int64_t kWeightPitch = S::kKeyBlock / S::kDepth;

  template <class Work>
  CAVMAE_INLINE void for_each_tile(const Work& work) {
    for (int64_t row = 0; row < task_.sizes.queries; row += S::kRows)
      with_tile_rows<S>(task_.sizes.queries - row,
                        [&]<int kTileRows>() { work.template operator()<kTileRows>(row); });
  }

  int64_t steps_of_width() const { return (task_.sizes.width + S::kDepth - 1) / S::kDepth; }

  Fetcher fetcher_of_next() const {
    Fetcher fetcher;
    if (task_.next == nullptr) return fetcher;
    const HeadForward& next = *task_.next;
    fetcher.add(next.q, next.sizes.queries, next.sizes);
    fetcher.add(next.k, next.sizes.keys, next.sizes);
    fetcher.add(next.v, next.sizes.keys, next.sizes);
    fetcher.spread_over(ceil_divide(task_.sizes.keys, S::kKeyBlock) *
                        ceil_divide(task_.sizes.queries, S::kRows));
    return fetcher;
  }

  void pack() {
    const HeadSizes& sizes = task_.sizes;
    const int64_t queries = padded_rows<S>(sizes.queries), keys = padded_rows<S>(sizes.keys);
    pack_rows<S, kWidth>(task_.q, sizes, 0, sizes.queries, queries, queries_);
    pack_rows<S, kWidth>(task_.k, sizes, 0, sizes.keys, keys, key_rows_);
    pack_transposed<S, kWidth>(key_rows_, sizes.width, round_up(sizes.keys, S::kLanes), keys_);
    if constexpr (S::kDepth == 1) {
      pack_rows<S, kWidth>(task_.v, sizes, 0, sizes.keys, keys, values_);
    } else {
      pack_rows<S, kWidth>(task_.v, sizes, 0, sizes.keys, keys, key_rows_);
      pack_stacked<S, kWidth>(key_rows_, sizes.width, keys, values_);
    }
  }

  // See Note [Shift].
  void choose_shifts() {
    const int64_t steps = steps_of_width();
    Vec longest = {};
    for (int64_t key = 0; key < task_.sizes.keys; key += S::kLanes) {
      Vec squares = {};
      for (int64_t i = 0; i < steps; ++i) {
        const auto x = S::load(keys_ + key * kPitch + i * S::kLanes);
        squares = S::dot(squares, x, x);
      }
      longest = S::max(longest, squares);
    }
    float squared_key = 0.0f;
    for (int i = 0; i < S::kLanes; ++i) squared_key = std::max(squared_key, longest[i]);
    const float safe = kSafeExponent / scale();
    for (int64_t row = 0; row < task_.sizes.queries; row += S::kLanes) {
      Vec squares[S::kLanes] = {};
      for (int j = 0; j < S::kLanes; ++j)
        for (int64_t i = 0; i < steps; i += S::kLanes) {
          const auto x = S::load(queries_ + (row + j) * kPitch + i);
          squares[j] = S::dot(squares[j], x, x);
        }
      const Vec bound = sums_of<S>(squares) * squared_key;
      for (int j = 0; j < S::kLanes; ++j) shifts_[row + j] = bound[j] <= safe * safe ? 0.0f : 1.0f;
    }
    for_each_tile([&]<int kTileRows>(int64_t row) {
      if (std::any_of(shifts_ + row, shifts_ + row + kTileRows, [](float x) { return x != 0.0f; }))
        find_greatest<kTileRows>(row);
    });
  }

  float scale() const { return kLog2E / std::sqrt(static_cast<float>(task_.sizes.width)); }

  template <int kTileRows, int kVecs>
  CAVMAE_INLINE void products(int64_t row, int64_t key, Vec (&sums)[kTileRows][kVecs]) const {
    add_product<S, kRowsOfA, kTransposed>(sums, queries_ + row * kPitch, keys_ + key * kPitch,
                                          steps_of_width());
  }

  template <int kTileRows>
  void find_greatest(int64_t row) {
    Vec greatest[kTileRows];
    for (Vec& x : greatest) x = S::set(-INFINITY);
    for (int64_t key = 0; key < task_.sizes.keys; key += S::kLanes) {
      Vec x[kTileRows][1] = {};
      products(row, key, x);
      for (int i = 0; i < kTileRows; ++i)
        greatest[i] = S::max(greatest[i], S::keep_first(x[i][0], task_.sizes.keys - key, -INFINITY));
    }
    for (int i = 0; i < kTileRows; ++i) {
      float most = greatest[i][0];
      for (int lane = 1; lane < S::kLanes; ++lane) most = std::max(most, greatest[i][lane]);
      if (shifts_[row + i] != 0.0f) shifts_[row + i] = most * scale();
    }
  }

  // A tile of queries over a block of keys: weights, their sums, and what they make of the values.
  template <int kTileRows>
  __attribute__((noinline)) void attend(int64_t row, int64_t key, int64_t count) {
    alignas(64) Unit weights[kTileRows * kWeightPitch];
    const Vec scales = S::set(scale());
    int64_t done = 0;
    for (; done + 2 * S::kLanes <= count; done += 2 * S::kLanes) {
      Vec x[kTileRows][2] = {};
      products(row, key + done, x);
#pragma GCC unroll 16
      for (int i = 0; i < kTileRows; ++i) {
        const Vec shift = S::set(shifts_[row + i]);
        const Vec left = S::exp2(S::multiply_subtract(x[i][0], scales, shift));
        const Vec right = S::exp2(S::multiply_subtract(x[i][1], scales, shift));
        sums_[row + i] = sums_[row + i] + (left + right);
        S::store_units(weights + i * kWeightPitch + done / S::kDepth, left, right);
      }
    }
    for (; done < count; done += S::kLanes) {
      Vec x[kTileRows][1] = {};
      products(row, key + done, x);
#pragma GCC unroll 16
      for (int i = 0; i < kTileRows; ++i) {
        const Vec all = S::exp2(S::multiply_subtract(x[i][0], scales, S::set(shifts_[row + i])));
        const Vec weight = S::keep_first(all, count - done, 0.0f);
        sums_[row + i] = sums_[row + i] + weight;
        S::store_units(weights + i * kWeightPitch + done / S::kDepth, weight);
      }
    }
    const int64_t width = round_up(task_.sizes.width, S::kLanes);
    int64_t column = 0;
    for (; column + 2 * S::kLanes <= width; column += 2 * S::kLanes)
      add_values<kTileRows, 2>(weights, row, key, count, column);
    if (column < width) add_values<kTileRows, 1>(weights, row, key, count, column);
  }

  template <int kTileRows, int kVecs>
  CAVMAE_INLINE void add_values(const Unit* weights, int64_t row, int64_t key, int64_t count,
                                int64_t column) {
    constexpr Layout kWeights = {.apart = kWeightPitch, .step = 1};
    float* const out = out_ + row * kWidth + column;
    Vec sums[kTileRows][kVecs] = {};
    add_product<S, kWeights, kStacked>(sums, weights, values_ + key * kPitch + column,
                                       (count + S::kDepth - 1) / S::kDepth);
#pragma GCC unroll 16
    for (int i = 0; i < kTileRows; ++i)
#pragma GCC unroll 16
      for (int vec = 0; vec < kVecs; ++vec) {
        float* const to = out + i * kWidth + vec * S::kLanes;
        S::store(to, key == 0 ? sums[i][vec] : sums[i][vec] + S::load_floats(to));
      }
  }

  void finish() {
    const int64_t queries = task_.sizes.queries;
    const Vec ln2 = S::set(kLn2), one = S::set(1.0f);
    for (int64_t row = 0; row < queries; row += S::kLanes) {
      const Vec sums = sums_of<S>(sums_ + row);
      S::store(inverse_sums_ + row, one / sums);
      if (task_.log_sum_exp == nullptr) continue;
      const Vec logs = (log2_of<S>(sums) + S::load_floats(shifts_ + row)) * ln2;
      float kept[S::kLanes];
      S::store(kept, logs);
      std::copy_n(kept, std::min<int64_t>(S::kLanes, queries - row), task_.log_sum_exp + row);
    }
    write_rows<S, kWidth>(out_, queries, task_.sizes, task_.out, 0,
                          [&](int64_t row) { return task_.sizes.keys == 0 ? 1.0f : inverse_sums_[row]; });
  }

  const HeadForward& task_;
  Pieces pieces_;
  Unit *queries_, *key_rows_, *keys_, *values_;  // rows, rows, transposed, stacked
  float* out_;                                   // [M, kWidth], not yet divided by the sums
  Vec* sums_;                                    // of the weights of a query, in kLanes parts
  float *shifts_, *inverse_sums_;                // [M]; shifts in powers of 2
};

}  // namespace
}  // namespace cavmae::kernels
