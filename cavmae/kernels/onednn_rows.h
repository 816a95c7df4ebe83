// How many rows oneDNN multiplies at once. A free function.
#pragma once

#include <cstdint>

namespace cavmae::kernels {

// Note [Rows on tiles]: with tiles oneDNN 2.6 cuts the rows into blocks of their largest divisor of up to 64.
// Where that is no multiple of a tile's 16 rows (708 = 12 x 59) a product takes 6 to 10 times as long, so
// that whole blocks of 64 go first and the rest apart.
inline int64_t rows_at_once(int64_t rows, bool on_tiles) {
  constexpr int64_t kMaxBlock = 64, kMinBlock = 32, kTileRows = 16;
  if (!on_tiles || rows <= kMaxBlock) return rows;
  int64_t block = kMaxBlock;
  while (rows % block != 0) --block;
  return block <= kMinBlock || block % kTileRows == 0 ? rows : rows / kMaxBlock * kMaxBlock;
}

}  // namespace cavmae::kernels
