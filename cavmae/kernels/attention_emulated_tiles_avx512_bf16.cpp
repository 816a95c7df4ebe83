// attention_amx.cpp on emulated tiles. Slow: it is a test of that code.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cavmae/isa/emulated_tiles.h"
#include "cavmae/isa/tiles.h"
#include "cavmae/kernels/attention_head.h"
#include "cavmae/kernels/tile_kernels.h"
#include "cavmae/kernels/versions.h"

#ifdef CAVMAE_X86_KERNELS
#include <immintrin.h>
// After every other header: their functions stay fit for any processor.
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,avx512bf16")
#include "cavmae/kernels/simd_avx512.h"
#include "cavmae/kernels/simd_avx512_bf16.h"
#include "cavmae/kernels/tile_attention_kernel.h"

namespace cavmae::kernels {
namespace {

struct EmulatedTilesAvx512Bf16 {
  using Tiles = EmulatedTiles;
  using Simd = Avx512Pairs<Avx512Bf16>;
  static const TilePackers& packers() { return avx512_tile_packers(); }
  static HeadKernel of_floats() { return avx512_head_kernel(); }
};

}  // namespace

HeadKernel emulated_tiles_avx512_bf16_head_kernel() {
  return make_tile_head_kernel<EmulatedTilesAvx512Bf16>();
}
}  // namespace cavmae::kernels
#endif
