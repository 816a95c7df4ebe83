// Whether tiles may be used and do what their emulation does.
#include <cstdint>
#include <cstring>
#include <random>

#include "cavmae/isa/emulated_tiles.h"
#include "cavmae/isa/tiles.h"

namespace cavmae {
namespace {

#ifdef CAVMAE_X86_KERNELS

constexpr int kUnitsOfTile = 256;  // of 32 bits

struct TileUnits {
  alignas(64) uint32_t units[kUnitsOfTile];
};

// Two products onto random sums, of factors of any size and sign.
template <class Tiles>
TileUnits product_of(const TileUnits& a, const TileUnits& b, const TileUnits& sums) {
  constexpr int64_t kRowBytes = 64;
  TileUnits result;
  Tiles::configure(TileShapes::all_whole());
  Tiles::template load<0>(sums.units, kRowBytes);
  Tiles::template load<4>(a.units, kRowBytes);
  Tiles::template load_past_l1<6>(b.units, kRowBytes);
  Tiles::template multiply<0, 4, 6>();
  Tiles::template multiply<0, 6, 4>();
  Tiles::template store<0>(result.units, kRowBytes);
  Tiles::release();
  return result;
}

bool native_tiles_are_right() {
  std::mt19937 random(1);
  const auto random_tile = [&] {
    TileUnits tile;
    // Finite values: of the exponents that bf16 has none are all ones.
    for (uint32_t& unit : tile.units) unit = static_cast<uint32_t>(random()) & 0xbf7fbf7f;
    return tile;
  };
  const TileUnits a = random_tile(), b = random_tile(), sums = random_tile();
  const TileUnits native = product_of<NativeTiles>(a, b, sums),
                  emulated = product_of<EmulatedTiles>(a, b, sums);
  return std::memcmp(&native, &emulated, sizeof(TileUnits)) == 0;
}

std::string find_tiles_trouble() {
  return trouble_of_tiles(usable_isa().has(Isa::amx_bf16), request_tiles, native_tiles_are_right);
}

#else

std::string find_tiles_trouble() {
  return "this cavmae was built without kernels for tiles";
}

#endif

}  // namespace

std::string trouble_of_tiles(bool has_tiles, const std::function<std::string()>& request,
                             const std::function<bool()>& product_is_right) {
  if (!has_tiles) return "the processor has no tiles, or may not use them (CAVMAE_ISA)";
  if (std::string refused = request(); !refused.empty()) return refused;
  if (!product_is_right()) return "the product of two tiles came out wrong";
  return "";
}

const std::string& tiles_trouble() {
  static const std::string kTrouble = find_tiles_trouble();
  return kTrouble;
}

}  // namespace cavmae
