#include <utility>

#include "cavmae/media/avif_items.h"
#include "cavmae/media/orientation.h"

namespace cavmae {

std::optional<Orientation> avif_orientation(const MediaBytes& source) {
  const auto items = read_avif_items(ByteRegion(source));
  if (!items) return std::nullopt;
  Orientation turn;
  for (const auto& [kind, content] : properties_of(*items, items->primary)) {
    const uint64_t value = kind == "irot" || kind == "imir" ? content.number<1>(0, true) : 0;
    // Quarter turns, counterclockwise: each makes rows of columns and exchanges top and bottom.
    for (uint64_t quarter = 0; kind == "irot" && quarter < (value & 3); ++quarter) {
      turn.transpose = !turn.transpose;
      std::swap(turn.flip_horizontal, turn.flip_vertical);
      turn.flip_vertical = !turn.flip_vertical;
    }
    if (kind != "imir") continue;
    bool& flip = (value & 1) != 0 ? turn.flip_horizontal : turn.flip_vertical;
    flip = !flip;
  }
  return turn;
}

}  // namespace cavmae
