// What the boxes of an AVIF file say of its pictures (ISO/IEC 23008-12): which there are, where their data
// lie, and their properties. Private to this folder; free functions, safe from several threads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cavmae/media/byte_region.h"
#include "cavmae/media/media_source.h"

namespace cavmae {

struct AvifItems {
  struct Property {
    std::string kind;  // "irot"
    ByteRegion content;
  };

  std::optional<ByteRegion> locations, associations;
  std::vector<Property> properties;                                     // of all items
  std::vector<std::pair<uint64_t, uint64_t>> auxiliary, premultiplied;  // item -> the one it belongs to
  uint64_t primary = 0;
};

// Nothing of what is no AVIF file.
std::optional<AvifItems> read_avif_items(const ByteRegion& file);

// Those of the item, in the order in which they are to be applied.
std::vector<AvifItems::Property> properties_of(const AvifItems& items, uint64_t item);

// The item's data, from all its pieces; none where they do not stand in the file itself.
std::string item_data(const ByteRegion& file, const MediaBytes& source, const AvifItems& items,
                      uint64_t item);

}  // namespace cavmae
