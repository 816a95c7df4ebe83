// Tiles in plain C++, the twin of NativeTiles (tiles.h).
#pragma once

#include <cstdint>

#include "cavmae/isa/tiles.h"

namespace cavmae {

// A thread's own, as the registers are. What would be an invalid instruction throws an Error.
class EmulatedTiles {
 public:
  static void configure(const TileShapes& shapes);
  static void release();
  template <int kTile>
  static void zero() {
    zero_tile(kTile);
  }
  template <int kTile>
  static void load(const void* rows, int64_t stride) {
    load_tile(kTile, rows, stride);
  }
  template <int kTile>
  static void load_past_l1(const void* rows, int64_t stride) {
    load_tile(kTile, rows, stride);
  }
  template <int kTile>
  static void store(void* rows, int64_t stride) {
    store_tile(kTile, rows, stride);
  }
  template <int kC, int kA, int kB>
  static void multiply() {
    multiply_tiles(kC, kA, kB);
  }

 private:
  static void zero_tile(int tile);
  static void load_tile(int tile, const void* rows, int64_t stride);
  static void store_tile(int tile, void* rows, int64_t stride);
  static void multiply_tiles(int c, int a, int b);
};

}  // namespace cavmae
