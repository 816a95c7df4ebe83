// What multiplies, packs and attends on tiles: tables of functions, of the instructions and of their
// emulation. For tile_matmul.cpp, flash_attention.cpp and tests; plain arrays, one thread's work each.
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

// Factor A, in blocks of 32 rows: rows as they are, or packed by columns_as_a().
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
  bool non_temporal = false;               // may_be_non_temporal() and not accumulated: whole rows of blocks
                                           // are written past the cache, without bias or residual
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

// A matrix that is packed, whole blocks of it: zeros past its edges.
struct TilePacking {
  const Bf16* data = nullptr;
  int64_t row_stride = 0;  // in elements
  int64_t rows = 0, columns = 0;
  Bf16* packed = nullptr;  // aligned to 64 bytes, tile_blocks(rows) * tile_blocks(columns) * kTileStepUnits

  int64_t row_blocks() const { return tile_blocks(rows); }
  int64_t column_blocks() const { return tile_blocks(columns); }
  Bf16* along_rows(int64_t row_block, int64_t column_block) const {
    return packed + (row_block * column_blocks() + column_block) * kTileStepUnits;
  }
  Bf16* along_columns(int64_t row_block, int64_t column_block) const {
    return packed + (column_block * row_blocks() + row_block) * kTileStepUnits;
  }
};

// Each packs blocks `begin` to `end` of 32 rows into blocks of a factor. A block of A has 32 rows of 32 of K,
// one of B 16 pairs of rows of K, the pair's values of a column side by side.
struct TilePackers {
  // K is the matrix's rows: a block of 32 columns after the other, of each those of K.
  void (*columns_as_a)(const TilePacking& packing, int64_t begin, int64_t end);
  void (*rows_as_b)(const TilePacking& packing, int64_t begin, int64_t end);
  // K is its columns: a block of 32 rows after the other, of each those of K.
  void (*rows_as_a)(const TilePacking& packing, int64_t begin, int64_t end);
  void (*columns_as_b)(const TilePacking& packing, int64_t begin, int64_t end);
};
const TilePackers& plain_tile_packers();
// By AVX-512; where CAVMAE_X86_KERNELS.
const TilePackers& avx512_tile_packers();

struct TileKernels {
  const char* name;
  // Scratch that multiply() wants, in bytes.
  int64_t (*scratch_bytes)(const TileProduct& product, const TileRegion& region);
  void (*multiply)(const TileProduct& product, const TileRegion& region, void* scratch);
  const TilePackers& (*packers)();
};

const TileKernels& emulated_tile_kernels();
// By AVX-512 and AMX; where CAVMAE_X86_KERNELS.
const TileKernels& native_tile_kernels();

// Attention on tiles, for flash_attention.cpp: Note [Attention on tiles].
struct HeadKernel;
HeadKernel emulated_tiles_head_kernel();
// Emulated tiles, the rest by AVX-512; AMX. Where CAVMAE_X86_KERNELS.
HeadKernel emulated_tiles_avx512_bf16_head_kernel();
HeadKernel amx_head_kernel();

}  // namespace cavmae::kernels
