// The product of Note [Tile GEMM] (tile_kernels.h) as a template over the tiles. Included once by each
// version's .cpp, after what it compiles for.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "cavmae/isa/tiles.h"
#include "cavmae/kernels/tile_kernels.h"

namespace cavmae::kernels {
namespace {

#define CAVMAE_TILE_INLINE inline __attribute__((always_inline))

constexpr int64_t kTileRowBytes = 64, kTileRows = 16;
constexpr int64_t kPanelRowBytes = 2 * kTileRowBytes;  // two tiles of B side by side
constexpr int64_t kResidentSteps = 18;                 // of a panel, 36 KB of L1
constexpr int64_t kMaxStepsAtOnce = 26;                // the rest of them past L1
constexpr int64_t kBlockSums = kTileBlock * kTileBlock;

// How a region is gone through: blocks of rows and panels whose sums are gathered at a time.
struct TileBlocking {
  int64_t slices = 1, row_blocks = 1, panels = 1;
  bool copies = false;  // blocks of A go through scratch

  TileBlocking(const TileProduct& p, const TileRegion& region) {
    constexpr int64_t kMinBlocks = 4, kMaxBlocks = 16, kBytesOfA = 800 << 10;
    constexpr int64_t kBlocksOfSlices = 8, kPanelsOfSlices = 24;
    constexpr int64_t kPanelsThatPay = 8, kConflictingBytes = 512;
    const int64_t steps = p.steps(), blocks = region.end_block - region.first_block;
    const int64_t all_panels = region.end_panel - region.first_panel;
    slices = steps <= kMaxStepsAtOnce ? 1 : (steps + kResidentSteps - 1) / kResidentSteps;
    row_blocks = slices > 1 ? kBlocksOfSlices
                            : std::clamp(kBytesOfA / (steps * kTileStepBytes), kMinBlocks, kMaxBlocks);
    panels = slices > 1 ? kPanelsOfSlices : all_panels;
    const bool ragged = p.a.columns % kTileBlock != 0 || p.a.rows < kTileBlock;
    // Rows at distances of many lines share few sets of the cache, and those of the piece before are in the
    // way.
    const bool pays = slices == 1 && all_panels >= kPanelsThatPay &&
                      (blocks > row_blocks || p.a.row_bytes % kConflictingBytes == 0);
    copies = !p.a.packed && (ragged || pays);
  }
  // A line more than the values take, for the same reason.
  static int64_t copied_row_bytes(const TileProduct& p) { return (p.steps() + 1) * kTileRowBytes; }
  int64_t sums_bytes() const {
    const int64_t blocks = slices > 1 ? row_blocks * panels : 2;
    return (blocks + 1) * kBlockSums * static_cast<int64_t>(sizeof(float));
  }
  int64_t copy_bytes(const TileProduct& p) const {
    return copies ? row_blocks * kTileBlock * copied_row_bytes(p) : 0;
  }
};

// The last steps of a row of sums, [32].
template <Element kElement>
CAVMAE_TILE_INLINE void finish_row(const TileResult& c, const float* __restrict sums, int64_t row,
                                   int64_t column, int64_t count) {
  float values[kTileBlock];
  std::memcpy(values, sums, sizeof(values));
  const int64_t offset = row * c.columns + column;
  if (c.bias != nullptr)
    for (int64_t i = 0; i < count; ++i) values[i] += c.bias[column + i];
  if constexpr (kElement == Element::bf16) {
    auto* __restrict const to = static_cast<Bf16*>(c.data) + offset;
    for (int64_t i = 0; i < count; ++i) to[i] = round_to_bf16(values[i]);
  } else {
    auto* __restrict const to = static_cast<float*>(c.data) + offset;
    if (c.residual != nullptr)
      for (int64_t i = 0; i < count; ++i) values[i] += c.residual[offset + i];
    if (c.accumulate == Accumulate::yes)
      for (int64_t i = 0; i < count; ++i) values[i] += to[i];
    for (int64_t i = 0; i < count; ++i) to[i] = values[i];
  }
}

// Past the cache, where a version can.
struct PlainStores {
  static void row(float* to, const float* values) { std::memcpy(to, values, kTileBlock * sizeof(float)); }
  static void end() {}
};

// Stores: how a row of a block is written that goes past the cache, aligned to 64 bytes, and what comes after
// all of them, before other threads read.
template <class Tiles, class Stores, Element kElement>
class TileGemm {
 public:
  TileGemm(const TileProduct& product, const TileRegion& region, void* scratch)
      : p_(product),
        region_(region),
        blocking_(product, region),
        a_(product.a),
        sums_(static_cast<float*>(scratch)),
        copy_(static_cast<char*>(scratch) + blocking_.sums_bytes()) {}

  void run() {
    Tiles::configure(TileShapes::all_whole());
    for_pieces(region_.first_block, region_.end_block, blocking_.row_blocks, [&](int64_t begin, int64_t end) {
      first_block_ = begin, end_block_ = end;
      if (blocking_.copies) copy_rows();
      for_pieces(region_.first_panel, region_.end_panel, blocking_.panels, [&](int64_t first, int64_t last) {
        first_panel_ = first, end_panel_ = last;
        for (int64_t slice = 0; slice < blocking_.slices; ++slice) add_slice(slice);
      });
    });
    store_sums(pending_.sums);
    while (pending_.next < pending_.end) finish_next();
    Tiles::release();
    if (p_.c.non_temporal) Stores::end();
  }

 private:
  // A block whose sums are still in the tiles, and then in memory; rows `next` to `end` are to be finished.
  struct Pending {
    float* sums;
    int64_t first = 0, next = 0, end = 0, column = 0;
  };
  // What the next steps take from L2, brought there meanwhile.
  struct Ahead {
    const char* next;
    const char* end;
    int64_t lines_a_step;
  };

  // Calls work(begin, end) for even pieces of at most `most`.
  template <class Work>
  static void for_pieces(int64_t first, int64_t end, int64_t most, const Work& work) {
    const int64_t count = end - first, pieces = (count + most - 1) / most;
    for (int64_t i = 0; i < pieces; ++i) work(first + count * i / pieces, first + count * (i + 1) / pieces);
  }

  // The last block of rows that are used as they are begins early, so that it is whole.
  int64_t first_row(int64_t block) const {
    const int64_t row = block * kTileBlock;
    return blocking_.copies || p_.a.packed ? row : std::min(row, p_.a.rows - kTileBlock);
  }
  const char* block_of_a(int64_t block) const {
    if (p_.a.packed) return a_.data + block * a_.block_bytes;
    const int64_t row = first_row(block) - (blocking_.copies ? first_block_ * kTileBlock : 0);
    return a_.data + row * a_.row_bytes;
  }

  // The piece's rows into scratch, with zeros where there are none.
  void copy_rows() {
    const int64_t to_bytes = TileBlocking::copied_row_bytes(p_), used_bytes = p_.a.columns * 2;
    const int64_t whole_bytes = p_.steps() * kTileRowBytes;
    for (int64_t row = first_block_ * kTileBlock; row < end_block_ * kTileBlock; ++row) {
      char* const to = copy_ + (row - first_block_ * kTileBlock) * to_bytes;
      const int64_t used = row < p_.a.rows ? used_bytes : 0;
      if (used > 0) std::memcpy(to, p_.a.data + row * p_.a.row_bytes, static_cast<size_t>(used));
      if (used < whole_bytes) std::memset(to + used, 0, static_cast<size_t>(whole_bytes - used));
    }
    a_ = {.data = copy_,
          .row_bytes = to_bytes,
          .lower_bytes = kTileRows * to_bytes,
          .step_bytes = kTileRowBytes};
  }

  void add_slice(int64_t slice) {
    const int64_t steps = p_.steps();
    const int64_t first_step = steps * slice / blocking_.slices;
    const int64_t num_steps = steps * (slice + 1) / blocking_.slices - first_step;
    const int64_t blocks = end_block_ - first_block_;
    const auto* const b = reinterpret_cast<const char*>(p_.b);
    for (int64_t panel = first_panel_; panel < end_panel_; ++panel) {
      const char* const b_steps = b + (panel * steps + first_step) * kTileStepBytes;
      const char* const next = panel + 1 < end_panel_ ? b_steps + steps * kTileStepBytes : b_steps;
      constexpr int64_t kLines = kTileStepBytes / kTileRowBytes;
      Ahead ahead{.next = next,
                  .end = next == b_steps ? next : next + num_steps * kTileStepBytes,
                  .lines_a_step = (kLines + blocks - 1) / blocks};
      for (int64_t block = first_block_; block < end_block_; ++block) {
        float* sums = sums_ + kBlockSums * (1 + (flip_ ^= 1));
        if (blocking_.slices > 1)
          sums =
              sums_ + kBlockSums * (1 + (panel - first_panel_) * blocking_.row_blocks + block - first_block_);
        add_block(block_of_a(block) + first_step * a_.step_bytes, b_steps, num_steps, slice > 0, sums, ahead);
        pending_ = {.sums = sums};
        if (slice + 1 == blocking_.slices)
          pending_ = {.sums = sums,
                      .first = first_row(block),
                      .next = block * kTileBlock,
                      .end = std::min((block + 1) * kTileBlock, p_.a.rows),
                      .column = panel * kTileBlock};
      }
    }
  }

  CAVMAE_TILE_INLINE void add_block(const char* a, const char* b, int64_t steps, bool onto, float* sums,
                                    Ahead& ahead) {
    onto ? first_step<true>(a, b, sums) : first_step<false>(a, b, sums);
    const int64_t rows = pending_.end - pending_.next;
    const int64_t rows_a_step = steps > 1 ? (rows + steps - 2) / (steps - 1) : 0;
    const int64_t resident = std::min(steps, kResidentSteps);
    for (int64_t step = 1; step < resident; ++step) {
      a += a_.step_bytes, b += kTileStepBytes;
      add_step<false>(a, b);
      meanwhile(rows_a_step, ahead);
    }
    for (int64_t step = std::max<int64_t>(resident, 1); step < steps; ++step) {
      a += a_.step_bytes, b += kTileStepBytes;
      add_step<true>(a, b);
      meanwhile(rows_a_step, ahead);
    }
    while (pending_.next < pending_.end) finish_next();
  }

  CAVMAE_TILE_INLINE void meanwhile(int64_t rows, Ahead& ahead) {
    for (int64_t i = 0; i < rows && pending_.next < pending_.end; ++i) finish_next();
    for (int64_t i = 0; i < ahead.lines_a_step && ahead.next < ahead.end; ++i, ahead.next += kTileRowBytes)
      __builtin_prefetch(ahead.next, 0, 2);
  }

  template <bool kPastL1>
  CAVMAE_TILE_INLINE void add_step(const char* a, const char* b) {
    load_b<6, kPastL1>(b);
    Tiles::template load_past_l1<4>(a, a_.row_bytes);
    Tiles::template multiply<0, 4, 6>();
    load_b<7, kPastL1>(b + kTileRowBytes);
    Tiles::template multiply<1, 4, 7>();
    Tiles::template load_past_l1<5>(a + a_.lower_bytes, a_.row_bytes);
    Tiles::template multiply<2, 5, 6>();
    Tiles::template multiply<3, 5, 7>();
  }
  template <int kTile, bool kPastL1>
  CAVMAE_TILE_INLINE static void load_b(const char* b) {
    kPastL1 ? Tiles::template load_past_l1<kTile>(b, kPanelRowBytes)
            : Tiles::template load<kTile>(b, kPanelRowBytes);
  }

  // Stores what the tiles hold of the block before, and begins from zero, or onto the sums of other slices.
  template <bool kOnto>
  CAVMAE_TILE_INLINE void first_step(const char* a, const char* b, const float* sums) {
    load_b<6, false>(b);
    Tiles::template load_past_l1<4>(a, a_.row_bytes);
    begin_tile<0, kOnto>(sums);
    Tiles::template multiply<0, 4, 6>();
    load_b<7, false>(b + kTileRowBytes);
    begin_tile<1, kOnto>(sums);
    Tiles::template multiply<1, 4, 7>();
    Tiles::template load_past_l1<5>(a + a_.lower_bytes, a_.row_bytes);
    begin_tile<2, kOnto>(sums);
    Tiles::template multiply<2, 5, 6>();
    begin_tile<3, kOnto>(sums);
    Tiles::template multiply<3, 5, 7>();
  }
  static constexpr int64_t kSumsRowBytes = kTileBlock * 4;
  static constexpr int64_t offset_of(int tile) {
    return (tile / 2) * kTileRows * kTileBlock + (tile % 2) * kTileRows;
  }
  template <int kTile, bool kOnto>
  CAVMAE_TILE_INLINE void begin_tile(const float* sums) {
    Tiles::template store<kTile>(pending_.sums + offset_of(kTile), kSumsRowBytes);
    if constexpr (kOnto)
      Tiles::template load<kTile>(sums + offset_of(kTile), kSumsRowBytes);
    else
      Tiles::template zero<kTile>();
  }
  CAVMAE_TILE_INLINE static void store_sums(float* sums) {
    Tiles::template store<0>(sums + offset_of(0), kSumsRowBytes);
    Tiles::template store<1>(sums + offset_of(1), kSumsRowBytes);
    Tiles::template store<2>(sums + offset_of(2), kSumsRowBytes);
    Tiles::template store<3>(sums + offset_of(3), kSumsRowBytes);
  }

  CAVMAE_TILE_INLINE void finish_next() {
    const int64_t row = pending_.next++;
    const float* const sums = pending_.sums + (row - pending_.first) * kTileBlock;
    const int64_t count = p_.c.columns - pending_.column;
    if (count >= kTileBlock) {
      if constexpr (kElement == Element::f32)
        if (p_.c.non_temporal) {
          Stores::row(static_cast<float*>(p_.c.data) + row * p_.c.columns + pending_.column, sums);
          return;
        }
      fetch_for(row + kTileBlock);
      finish_row<kElement>(p_.c, sums, row, pending_.column, kTileBlock);
    } else {
      finish_row<kElement>(p_.c, sums, row, pending_.column, count);
    }
  }
  // What the block below reads or writes besides sums; it would wait for memory.
  CAVMAE_TILE_INLINE void fetch_for(int64_t row) const {
    if (row >= p_.a.rows) return;
    const int64_t offset = row * p_.c.columns + pending_.column;
    const int64_t bytes = bytes_of(kElement), lanes = kTileRowBytes / bytes;
    for (int64_t i = 0; i < kTileBlock; i += lanes) {
      __builtin_prefetch(static_cast<const char*>(p_.c.data) + (offset + i) * bytes, 1, 2);
      if (kElement == Element::f32 && p_.c.residual != nullptr)
        __builtin_prefetch(p_.c.residual + offset + i, 0, 3);
    }
  }

  const TileProduct& p_;
  TileRegion region_;
  TileBlocking blocking_;
  TileFactor a_;  // or its copy
  float* sums_;   // a block for what the tiles hold at first, two in turns or one of each block and panel
  char* copy_;
  Pending pending_{.sums = sums_};
  int64_t first_block_ = 0, end_block_ = 0, first_panel_ = 0, end_panel_ = 0;  // of the piece
  int64_t flip_ = 0;
};

#undef CAVMAE_TILE_INLINE

int64_t tile_scratch_bytes(const TileProduct& product, const TileRegion& region) {
  const TileBlocking blocking(product, region);
  return blocking.sums_bytes() + blocking.copy_bytes(product);
}

template <class Tiles, class Stores = PlainStores>
void multiply_on_tiles(const TileProduct& product, const TileRegion& region, void* scratch) {
  if (product.c.element == Element::bf16)
    TileGemm<Tiles, Stores, Element::bf16>(product, region, scratch).run();
  else
    TileGemm<Tiles, Stores, Element::f32>(product, region, scratch).run();
}

}  // namespace
}  // namespace cavmae::kernels
