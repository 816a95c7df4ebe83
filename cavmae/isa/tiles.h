// AMX: eight registers, tiles of 16 rows x 64 bytes, and the product of two of them. NativeTiles are the
// instructions, EmulatedTiles (emulated_tiles.h) the same in plain C++, bit for bit; kernels are
// templates over either, so that tests run them on any processor. The numbers of tiles are template
// arguments, as they are part of the instructions.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "cavmae/isa/isa.h"

namespace cavmae {

// What LDTILECFG takes: palette 1.
struct alignas(64) TileShapes {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t bytes[16] = {};  // of a row of each tile
  uint8_t rows[16] = {};

  static constexpr TileShapes all_whole() {
    TileShapes shapes;
    for (int tile = 0; tile < 8; ++tile) shapes.bytes[tile] = 64, shapes.rows[tile] = 16;
    return shapes;
  }
};
static_assert(sizeof(TileShapes) == 64);

// Asks Linux for the state that tiles need (arch_prctl, ARCH_REQ_XCOMP_PERM): once a process, before any
// thread's first tile. Returns "" or why it is refused: Linux refuses where a thread has an alternative
// signal stack that the larger state does not fit onto, as programs with sanitizers and other run times do.
std::string request_tiles();
// Whether usable_isa() has tiles and Linux gives them; asked once. Then oneDNN takes them.
bool tiles_are_given();

// "" where this process may use tiles, else the reason why not: the processor or a switch of isa.h lacks
// them, Linux refuses them, or their product is not that of the emulation. Tried once.
const std::string& tiles_trouble();
// That reason for a process whose processor has tiles or not, by what Linux says when it is asked ("" gives
// them), and by a trial of their product.
std::string trouble_of_tiles(bool has_tiles, const std::function<std::string()>& request,
                             const std::function<bool()>& product_is_right);

#ifdef CAVMAE_X86_KERNELS

#define CAVMAE_TILE inline __attribute__((always_inline))

// Written as assembly: GCC's intrinsics name no memory, so that it moves stores across a tile's load. Each
// thread configures its tiles before it uses them and releases them after that, and calls nothing in between
// that might have tiles of its own.
struct NativeTiles {
  static CAVMAE_TILE void configure(const TileShapes& shapes) { asm volatile("ldtilecfg %0" ::"m"(shapes)); }
  static CAVMAE_TILE void release() { asm volatile("tilerelease"); }
  template <int kTile>
  static CAVMAE_TILE void zero() {
    asm volatile("tilezero %%tmm%c0" ::"i"(kTile));
  }
  // Rows `stride` bytes apart.
  template <int kTile>
  static CAVMAE_TILE void load(const void* rows, int64_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(rows), "r"(stride), "i"(kTile) : "memory");
  }
  // Of what is read once: it leaves what L1 holds.
  template <int kTile>
  static CAVMAE_TILE void load_past_l1(const void* rows, int64_t stride) {
    asm volatile("tileloaddt1 (%0,%1,1), %%tmm%c2" ::"r"(rows), "r"(stride), "i"(kTile) : "memory");
  }
  template <int kTile>
  static CAVMAE_TILE void store(void* rows, int64_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(rows), "r"(stride), "i"(kTile) : "memory");
  }
  // C += A B: rows of pairs of bf16 times pairs of rows.
  template <int kC, int kA, int kB>
  static CAVMAE_TILE void multiply() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kC), "i"(kA), "i"(kB));
  }
};

#undef CAVMAE_TILE
#endif

}  // namespace cavmae
