// attention_amx.cpp in plain C++, for every processor: the twin that tests hold the other versions on tiles
// to.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cavmae/isa/emulated_tiles.h"
#include "cavmae/isa/tiles.h"
#include "cavmae/kernels/attention_head.h"
#include "cavmae/kernels/simd_plain.h"
#include "cavmae/kernels/tile_attention_kernel.h"
#include "cavmae/kernels/tile_kernels.h"
#include "cavmae/kernels/versions.h"

namespace cavmae::kernels {
namespace {

struct PlainEmulatedTiles {
  using Tiles = EmulatedTiles;
  using Simd = PlainPairs;
  static const TilePackers& packers() { return plain_tile_packers(); }
  static HeadKernel of_floats() { return baseline_head_kernel(); }
};

}  // namespace

HeadKernel emulated_tiles_head_kernel() {
  return make_tile_head_kernel<PlainEmulatedTiles>();
}
}  // namespace cavmae::kernels
