// What the attention kernel computes with, over one instruction set: products of tiles in registers, rows
// packed for them. Included by each version's .cpp after its Simd types; everything in it is of that file.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cavmae/kernels/attention_head.h"

// Note [Attention kernel]: one body for every instruction set, over a type S that says
//   Vec, kLanes        floats of a vector
//   Unit, kDepth       what a product takes at a time: a float, or kDepth = 2 neighbours in bf16
//   Operand, dot()     a vector of kLanes units; dot(sum, a, b) adds the products of each unit to a float
//   kRows              rows of a tile: kRows x 2 vectors of sums fill the registers
//   kKeyBlock, kQueryBlock   so many rows stay in L1
// A product sums A[row][step] * B[step][column], both in units: A's units are broadcast one by one, B's are
// loaded as vectors. Hence three ways to pack rows [n, d]:
//   rows         [n][d / kDepth]              factor A where d is summed over
//   transposed   [n / kLanes][d / kDepth][kLanes]   factor B where d is summed over
//   stacked      [n / kDepth][d]              factor B where rows are summed over
// Rows are kWidth floats apart whatever d is, so that all offsets in the inner loop are constants. What is
// packed is padded with zeros, which makes the edges need no code: a product with zero adds nothing.

#define CAVMAE_INLINE inline __attribute__((always_inline))

namespace cavmae::kernels {
namespace {

constexpr int64_t ceil_divide(int64_t n, int64_t size) {
  return (n + size - 1) / size;
}
constexpr int64_t round_up(int64_t n, int64_t multiple) {
  return ceil_divide(n, multiple) * multiple;
}

// Where a factor's units lie: its rows (A) or vectors (B), and its steps.
struct Layout {
  int64_t apart, step;
};

// sums[row][vec] += A * B over `steps` steps.
template <class S, Layout kA, Layout kB, int kTileRows, int kVecs>
CAVMAE_INLINE void add_product(typename S::Vec (&sums)[kTileRows][kVecs], const typename S::Unit* a,
                               const typename S::Unit* b, int64_t steps) {
  for (int64_t step = 0; step < steps; ++step, a += kA.step, b += kB.step) {
    typename S::Operand columns[kVecs];
#pragma GCC unroll 16
    for (int vec = 0; vec < kVecs; ++vec) columns[vec] = S::load(b + vec * kB.apart);
#pragma GCC unroll 16
    for (int row = 0; row < kTileRows; ++row) {
      const typename S::Operand factor = S::broadcast(a + row * kA.apart);
#pragma GCC unroll 16
      for (int vec = 0; vec < kVecs; ++vec) sums[row][vec] = S::dot(sums[row][vec], factor, columns[vec]);
    }
  }
}

// Calls work.operator()<rows>() with the smallest tile that holds `rows`, at most kRows.
template <class S, class Work>
CAVMAE_INLINE void with_tile_rows(int64_t rows, const Work& work) {
  static_assert(S::kRows % 3 == 0);
  if (rows > S::kRows / 3 * 2) {
    work.template operator()<S::kRows>();
  } else if (rows > S::kRows / 3) {
    work.template operator()<S::kRows / 3 * 2>();
  } else {
    work.template operator()<S::kRows / 3>();
  }
}

// How many rows are packed of n: tiles and transposed groups are whole.
template <class S>
int64_t padded_rows(int64_t n) {
  return round_up(round_up(n, S::kRows), S::kLanes);
}

template <class S>
CAVMAE_INLINE void transpose(typename S::Vec (&x)[S::kLanes]) {
  for (int stage = 1; stage < S::kLanes; stage *= 2) {
    typename S::Vec zipped[S::kLanes];
#pragma GCC unroll 16
    for (int i = 0; i < S::kLanes / 2; ++i) {
      zipped[2 * i] = S::zip_low(x[i], x[i + S::kLanes / 2]);
      zipped[2 * i + 1] = S::zip_high(x[i], x[i + S::kLanes / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < S::kLanes; ++i) x[i] = zipped[i];
  }
}

// The sums of kLanes vectors, one a lane.
template <class S>
CAVMAE_INLINE typename S::Vec sums_of(const typename S::Vec* rows) {
  typename S::Vec x[S::kLanes];
#pragma GCC unroll 16
  for (int i = 0; i < S::kLanes; ++i) x[i] = rows[i];
  transpose<S>(x);
  typename S::Vec sum = x[0];
#pragma GCC unroll 16
  for (int i = 1; i < S::kLanes; ++i) sum = sum + x[i];
  return sum;
}

template <class S>
CAVMAE_INLINE void copy_row(const float* source, int64_t width, float* target) {
  int64_t i = 0;
  for (; i + S::kLanes <= width; i += S::kLanes) S::store(target + i, S::load_floats(source + i));
  for (; i < width; ++i) target[i] = source[i];
}

// Two operands a unit stay as they are, one is widened.
template <class S>
CAVMAE_INLINE void copy_row(const uint16_t* source, int64_t width, float* target) {
  int64_t i = 0;
  for (; i + S::kLanes <= width; i += S::kLanes) S::store(target + i, S::widen(source + i));
  for (; i < width; ++i) {
    const uint32_t bits = static_cast<uint32_t>(source[i]) << 16;
    std::memcpy(target + i, &bits, sizeof(bits));
  }
}
template <class S>
CAVMAE_INLINE void copy_row(const uint16_t* source, int64_t width, uint32_t* target) {
  std::memcpy(target, source, static_cast<size_t>(width) * sizeof(*source));
}

// Packs `count` rows from row `first` on as rows, and zeros to `padded_count`.
template <class S, int kWidth>
void pack_rows(const ConstHeadRows& source, const HeadSizes& sizes, int64_t first, int64_t count,
               int64_t padded_count, typename S::Unit* target) {
  constexpr int64_t kPitch = kWidth / S::kDepth;
  const int64_t padded_width = round_up(sizes.width, S::kLanes * S::kDepth) / S::kDepth;
  const int64_t first_zero = sizes.width / S::kDepth / S::kLanes * S::kLanes;
  for (int64_t row = 0; row < padded_count; ++row, target += kPitch) {
    std::fill(target + (row < count ? first_zero : 0), target + padded_width, typename S::Unit{});
    if (row >= count) continue;
    const int64_t offset = (first + row) * source.row_stride;
    if (sizes.element == Element::bf16) {
      copy_row<S>(static_cast<const uint16_t*>(source.data) + offset, sizes.width, target);
    } else if constexpr (S::kDepth == 1) {
      copy_row<S>(static_cast<const float*>(source.data) + offset, sizes.width, target);
    }
  }
}

// From rows to transposed. `rows` is a multiple of kLanes.
template <class S, int kWidth>
void pack_transposed(const typename S::Unit* source, int64_t width, int64_t rows, typename S::Unit* target) {
  constexpr int64_t kPitch = kWidth / S::kDepth;
  const int64_t padded_width = round_up(width, S::kLanes * S::kDepth) / S::kDepth;
  for (int64_t row = 0; row < rows; row += S::kLanes)
    for (int64_t i = 0; i < padded_width; i += S::kLanes) {
      typename S::Vec x[S::kLanes];
#pragma GCC unroll 16
      for (int j = 0; j < S::kLanes; ++j) x[j] = S::load_bits(source + (row + j) * kPitch + i);
      transpose<S>(x);
#pragma GCC unroll 16
      for (int j = 0; j < S::kLanes; ++j) S::store_bits(target + row * kPitch + (i + j) * S::kLanes, x[j]);
    }
}

// From rows to stacked, for kDepth 2. `rows` is even.
template <class S, int kWidth>
void pack_stacked(const typename S::Unit* source, int64_t width, int64_t rows, typename S::Unit* target) {
  constexpr int64_t kPitch = kWidth / S::kDepth;
  const int64_t units = round_up(width, S::kLanes * S::kDepth) / S::kDepth;
  for (int64_t row = 0; row < rows; row += 2)
    for (int64_t i = 0; i < units; i += S::kLanes)
      S::stack(source + row * kPitch + i, source + (row + 1) * kPitch + i, target + row * kPitch + 2 * i);
}

// Writes rows of sums, kWidth floats apart, each times its own factor.
template <class S, int kWidth, class Factor>
CAVMAE_INLINE void write_rows(const float* source, int64_t count, const HeadSizes& sizes,
                              const HeadRows& target, int64_t first, const Factor& factor_of) {
  for (int64_t row = 0; row < count; ++row, source += kWidth) {
    const typename S::Vec factor = S::set(factor_of(row));
    const int64_t offset = (first + row) * target.row_stride;
    for (int64_t i = 0; i < sizes.width; i += S::kLanes) {
      const typename S::Vec x = S::load_floats(source + i) * factor;
      const int64_t n = std::min<int64_t>(S::kLanes, sizes.width - i);
      if (sizes.element == Element::bf16) {
        uint16_t rounded[S::kLanes];
        uint16_t* to = static_cast<uint16_t*>(target.data) + offset + i;
        S::narrow(n == S::kLanes ? to : rounded, x);
        if (n < S::kLanes) std::copy_n(rounded, n, to);
      } else {
        float whole[S::kLanes];
        float* to = static_cast<float*>(target.data) + offset + i;
        S::store(n == S::kLanes ? to : whole, x);
        if (n < S::kLanes) std::copy_n(whole, n, to);
      }
    }
  }
}

// Fetches rows of up to kMaxArrays arrays into L2, some at a time.
class Fetcher {
 public:
  void add(const ConstHeadRows& rows, int64_t count, const HeadSizes& sizes) {
    const int64_t bytes_of_value = sizes.element == Element::bf16 ? 2 : 4;
    lines_ = (sizes.width * bytes_of_value + kLine - 1) / kLine;
    arrays_[num_arrays_++] = {static_cast<const char*>(rows.data), rows.row_stride * bytes_of_value, count};
    rows_left_ += count;
  }

  // To be done in `calls` calls of fetch().
  void spread_over(int64_t calls) { rows_a_call_ = (rows_left_ + calls - 1) / std::max<int64_t>(calls, 1); }

  CAVMAE_INLINE void fetch() {
    const int64_t wanted = std::min(rows_a_call_, rows_left_);
    rows_left_ -= wanted;
    for (int64_t i = 0; i < wanted; ++i) {
      Array& array = arrays_[current_];
      for (int64_t line = 0; line < lines_; ++line)
        __builtin_prefetch(array.data + line * kLine, /*rw=*/0, /*locality=*/2);
      array.data += array.stride;
      if (--array.rows == 0) ++current_;
    }
  }

 private:
  static constexpr int64_t kLine = 64, kMaxArrays = 5;
  struct Array {
    const char* data;
    int64_t stride, rows;  // bytes; how many are left
  };
  Array arrays_[kMaxArrays] = {};
  int64_t num_arrays_ = 0, current_ = 0, lines_ = 0, rows_left_ = 0, rows_a_call_ = 0;
};

// Hands out pieces of the scratch memory, or counts what they need.
class Pieces {
 public:
  explicit Pieces(void* memory) : memory_(static_cast<char*>(memory)) {}

  template <class T>
  T* take(int64_t count) {
    T* const piece = memory_ == nullptr ? nullptr : reinterpret_cast<T*>(memory_ + bytes_);
    bytes_ += static_cast<size_t>(round_up(count * static_cast<int64_t>(sizeof(T)), 64));
    return piece;
  }
  size_t bytes() const { return bytes_; }

 private:
  char* memory_;
  size_t bytes_ = 0;
};

}  // namespace
}  // namespace cavmae::kernels
