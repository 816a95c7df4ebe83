#include "cavmae/media/byte_region.h"

namespace cavmae {

uint64_t tiff_tag(const ByteRegion& tiff, uint16_t tag) {
  constexpr uint64_t kLong = 4;  // type of 4 bytes; the others that matter here have 2
  const bool big_endian = tiff.holds(0, "MM");
  if (!big_endian && !tiff.holds(0, "II")) return 0;
  if (tiff.number<2>(2, big_endian) != 42) return 0;
  const uint64_t directory = tiff.number<4>(4, big_endian);
  const uint64_t num_entries = tiff.number<2>(directory, big_endian);
  for (uint64_t i = 0; i < num_entries; ++i) {
    const uint64_t entry = directory + 2 + 12 * i;
    if (tiff.number<2>(entry, big_endian) != tag) continue;
    if (tiff.number<2>(entry + 2, big_endian) == kLong) return tiff.number<4>(entry + 8, big_endian);
    // More than two of them stand elsewhere.
    const uint64_t count = tiff.number<4>(entry + 4, big_endian);
    return tiff.number<2>(count <= 2 ? entry + 8 : tiff.number<4>(entry + 8, big_endian), big_endian);
  }
  return 0;
}

}  // namespace cavmae
