// What multiplies and packs on tiles: one table of functions, of the instructions and of their emulation. For
// tile_matmul.cpp and tests; plain arrays, one thread's work each.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cavmae/kernels/types.h"

namespace cavmae::kernels {

// Note [Tile GEMM]: C [n, m] = A [n, K] B [K, m], factors of bf16, float sums. Sums of a block of 32 x 32
// stay in four tiles; a step of 32 of K loads two tiles of A and two of B and multiplies four times. B comes
// in panels of 32 columns: a step after the other, of which each has 16 pairs of rows of K, the pair's values
// of a column side by side; zeros past its edges. So many steps of a panel as fit into L1 stay there while
// all blocks of rows take from them; A is streamed from L2 past L1. A longer K is cut into slices, whose sums
// wait in memory as floats. The sums of a block are stored while the next one begins, and become results
// (bias, residual, rounding) between its steps, when the vector units have nothing to do.
// The order of K is that of the slices, which its length alone decides: neither threads nor blocks change a
// result.
inline constexpr int64_t kTileBlock = 32;                           // rows, columns and K of a step
inline constexpr int64_t kTileStepUnits = kTileBlock * kTileBlock;  // of a panel, in bf16
inline constexpr int64_t kTileStepBytes = kTileStepUnits * 2;

constexpr int64_t tile_blocks(int64_t n) {
  return (n + kTileBlock - 1) / kTileBlock;
}

// Factor A, in blocks of 32 rows: rows as they are, or packed by pack_columns().
struct TileFactor {
  const char* data = nullptr;
  int64_t row_bytes = 0;    // from a row of a tile to the next
  int64_t lower_bytes = 0;  // from a block's upper tile to its lower one
  int64_t step_bytes = 0;
  int64_t block_bytes = 0;
  int64_t rows = 0;     // of C
  int64_t columns = 0;  // K
  bool packed = false;  // whole blocks, whole steps
};

// What becomes of the sums.
struct TileResult {
  void* data = nullptr;  // [n, m]
  int64_t columns = 0;   // m
  Element element = Element::f32;
  const float* bias = nullptr;             // [m]; may be null
  const float* residual = nullptr;         // [n, m], for floats; may be null
  Accumulate accumulate = Accumulate::no;  // for floats
};

struct TileProduct {
  TileFactor a;
  const Bf16* b = nullptr;  // panels, aligned to 64 bytes
  TileResult c;

  int64_t steps() const { return tile_blocks(a.columns); }
  int64_t row_blocks() const { return tile_blocks(a.rows); }
  int64_t panels() const { return tile_blocks(c.columns); }
};

// Blocks of rows and panels, a part of C that is one thread's.
struct TileRegion {
  int64_t first_block = 0, end_block = 0, first_panel = 0, end_panel = 0;
};

// A factor of a sum over rows, [rows, columns], as A^T or B of a product; steps `begin` to `end` of 32 rows.
struct TilePacking {
  const Bf16* factor = nullptr;
  int64_t rows = 0, columns = 0;
  Bf16* packed = nullptr;  // aligned to 64 bytes, tile_blocks(rows) * tile_blocks(columns) * kTileStepUnits

  int64_t steps() const { return tile_blocks(rows); }
};

struct TileKernels {
  const char* name;
  // Scratch that multiply() wants, in bytes.
  int64_t (*scratch_bytes)(const TileProduct& product, const TileRegion& region);
  void (*multiply)(const TileProduct& product, const TileRegion& region, void* scratch);
  // The columns as rows of A: a block of 32 after the other; in a step two halves of 16, of 16 pairs each.
  void (*pack_columns)(const TilePacking& packing, int64_t begin, int64_t end);
  // The rows as B's.
  void (*pack_rows)(const TilePacking& packing, int64_t begin, int64_t end);
};

const TileKernels& emulated_tile_kernels();
// By AVX-512 and AMX; where CAVMAE_X86_KERNELS.
const TileKernels& native_tile_kernels();

// Packing by AVX-512, for native_tile_kernels() and tests; where CAVMAE_X86_KERNELS.
void pack_tile_columns_avx512(const TilePacking& packing, int64_t begin, int64_t end);
void pack_tile_rows_avx512(const TilePacking& packing, int64_t begin, int64_t end);

}  // namespace cavmae::kernels
