// The kernels on AMX's tiles, their results by AVX-512.
#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#include "cavmae/isa/tiles.h"
#include "cavmae/kernels/tile_kernels.h"

#ifdef CAVMAE_X86_KERNELS
#include <immintrin.h>
// After every other header: their functions stay fit for any processor.
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512")

#include "cavmae/kernels/tile_gemm.h"

namespace cavmae::kernels {
namespace {

struct Avx512Stores {
  static void row(float* to, const float* values) {
    constexpr int64_t kLanes = 16;
    for (int64_t i = 0; i < kTileBlock; i += kLanes) _mm512_stream_ps(to + i, _mm512_loadu_ps(values + i));
  }
  static void end() { _mm_sfence(); }
};

}  // namespace

const TileKernels& native_tile_kernels() {
  static constexpr TileKernels kKernels = {.name = "amx",
                                           .scratch_bytes = tile_scratch_bytes,
                                           .multiply = multiply_on_tiles<NativeTiles, Avx512Stores>,
                                           .packers = avx512_tile_packers};
  return kKernels;
}

}  // namespace cavmae::kernels
#endif
