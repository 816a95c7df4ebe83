#include "cavmae/media/avif_items.h"

#include <algorithm>
#include <string_view>

namespace cavmae {
namespace {

constexpr uint64_t kMostItems = 4096;
constexpr uint64_t kMostItemBytes = uint64_t{1} << 28;

// A number of 0 to 8 bytes whose size the file tells.
uint64_t sized_number(const ByteRegion& box, uint64_t at, uint64_t size) {
  return size == 8   ? box.number<8>(at, true)
         : size == 4 ? box.number<4>(at, true)
         : size == 2 ? box.number<2>(at, true)
                     : 0;
}

// Calls see(type, content) for each box of `region` from `at` on.
template <class See>
void for_each_box(const ByteRegion& region, uint64_t at, See&& see) {
  for (uint64_t i = 0; i < kMostItems && at + 8 <= region.size(); ++i) {
    uint64_t size = region.number<4>(at, true), header = 8;
    if (size == 1) size = region.number<8>(at + 8, true), header = 16;
    if (size == 0) size = region.size() - at;
    if (size < header) return;
    const auto type = region.bytes<4>(at + 4);
    see(std::string_view(reinterpret_cast<const char*>(type->data()), type->size()),
        region.part(at + header, size - header));
    at += size;
  }
}

void read_references(const ByteRegion& box, AvifItems& items) {
  const uint64_t id_size = box.number<1>(0, true) == 0 ? 2 : 4;
  for_each_box(box, 4, [&](std::string_view type, const ByteRegion& content) {
    const uint64_t from = sized_number(content, 0, id_size);
    const uint64_t count = content.number<2>(id_size, true);
    for (uint64_t i = 0; i < count; ++i) {
      const uint64_t to = sized_number(content, id_size + 2 + i * id_size, id_size);
      if (type == "auxl") items.auxiliary.emplace_back(from, to);
      if (type == "prem") items.premultiplied.emplace_back(from, to);
    }
  });
}

}  // namespace

std::optional<AvifItems> read_avif_items(const ByteRegion& file) {
  if (!file.holds(4, "ftypavif") && !file.holds(4, "ftypavis") && !file.holds(4, "ftypmif1"))
    return std::nullopt;
  AvifItems items;
  const auto see_meta = [&](std::string_view type, const ByteRegion& box) {
    if (type == "pitm") items.primary = sized_number(box, 4, box.number<1>(0, true) == 0 ? 2 : 4);
    if (type == "iloc") items.locations = box;
    if (type == "iref") read_references(box, items);
    if (type != "iprp") return;
    for_each_box(box, 0, [&](std::string_view inner, const ByteRegion& content) {
      if (inner == "ipma") items.associations = content;
      if (inner != "ipco") return;
      for_each_box(content, 0, [&](std::string_view kind, const ByteRegion& property) {
        items.properties.push_back({.kind = std::string(kind), .content = property});
      });
    });
  };
  for_each_box(file, 0, [&](std::string_view type, const ByteRegion& box) {
    if (type == "meta") for_each_box(box, 4, see_meta);
  });
  return items;
}

std::vector<AvifItems::Property> properties_of(const AvifItems& items, uint64_t item) {
  std::vector<AvifItems::Property> found;
  if (!items.associations) return found;
  const ByteRegion& box = *items.associations;
  const uint64_t id_size = box.number<1>(0, true) == 0 ? 2 : 4;
  const uint64_t index_size = (box.number<1>(3, true) & 1) != 0 ? 2 : 1;
  const uint64_t num_entries = std::min(box.number<4>(4, true), kMostItems);
  uint64_t at = 8;
  for (uint64_t entry = 0; entry < num_entries; ++entry) {
    const uint64_t id = sized_number(box, at, id_size), count = box.number<1>(at + id_size, true);
    at += id_size + 1;
    for (uint64_t i = 0; i < count; ++i, at += index_size) {
      const uint64_t index =
          index_size == 2 ? box.number<2>(at, true) & 0x7fff : box.number<1>(at, true) & 0x7f;
      if (id == item && index >= 1 && index <= items.properties.size())
        found.push_back(items.properties[index - 1]);
    }
  }
  return found;
}

std::string item_data(const ByteRegion& file, const MediaBytes& source, const AvifItems& items,
                      uint64_t item) {
  if (!items.locations) return {};
  const ByteRegion& box = *items.locations;
  const uint64_t version = box.number<1>(0, true), sizes = box.number<2>(4, true);
  const uint64_t offset_size = sizes >> 12, length_size = sizes >> 8 & 15, base_size = sizes >> 4 & 15;
  const uint64_t index_size = version == 0 ? 0 : sizes & 15;
  const uint64_t id_size = version < 2 ? 2 : 4;
  const uint64_t num_items = std::min(sized_number(box, 6, id_size), kMostItems);
  uint64_t at = 6 + id_size;
  for (uint64_t i = 0; i < num_items; ++i) {
    const uint64_t id = sized_number(box, at, id_size);
    at += id_size;
    const uint64_t method = version == 0 ? 0 : box.number<2>(at, true) & 15;
    at += version == 0 ? 2 : 4;
    const uint64_t base = sized_number(box, at, base_size);
    at += base_size;
    const uint64_t num_pieces = box.number<2>(at, true);
    at += 2;
    std::string data;
    for (uint64_t piece = 0; piece < num_pieces; ++piece) {
      at += index_size;
      const uint64_t offset = base + sized_number(box, at, offset_size);
      const uint64_t length = sized_number(box, at + offset_size, length_size);
      at += offset_size + length_size;
      if (id != item || method != 0 || length > kMostItemBytes || offset > file.size()) continue;
      const size_t filled = data.size();
      data.resize(filled + std::min(length, file.size() - offset));
      data.resize(filled +
                  source.read_at(static_cast<int64_t>(offset), data.data() + filled, data.size() - filled));
    }
    if (id == item) return data;
  }
  return {};
}

}  // namespace cavmae
