#include "cavmae/media/avif_alpha.h"

#include <string_view>
#include <vector>

#include "cavmae/core/error.h"
#include "cavmae/media/any_to_rgb.h"
#include "cavmae/media/byte_region.h"
#include "cavmae/media/ffmpeg.h"

namespace cavmae {
namespace {

constexpr uint64_t kMostItems = 4096;
constexpr uint64_t kMostAlphaBytes = uint64_t{1} << 28;

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

// What the meta box says of the picture's items (ISO/IEC 23008-12).
struct AvifItems {
  std::optional<ByteRegion> locations, associations;
  std::vector<ByteRegion> properties;
  std::vector<std::pair<uint64_t, uint64_t>> auxiliary, premultiplied;  // item -> the one it belongs to
  uint64_t primary = 0;
};

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

AvifItems read_items(const ByteRegion& file) {
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
        items.properties.push_back(property);
        if (kind != "auxC") items.properties.back() = property.part(0, 0);  // the others do not matter
      });
    });
  };
  for_each_box(file, 0, [&](std::string_view type, const ByteRegion& box) {
    if (type == "meta") for_each_box(box, 4, see_meta);
  });
  return items;
}

bool is_alpha(const AvifItems& items, uint64_t item) {
  if (!items.associations) return false;
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
      if (id != item || index < 1 || index > items.properties.size()) continue;
      const ByteRegion& property = items.properties[index - 1];
      if (property.holds(4, "urn:mpeg:mpegB:c") || property.holds(4, "urn:mpeg:hevc:20")) return true;
    }
  }
  return false;
}

// The item's data, from all its pieces; none where they do not stand in the file itself.
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
      if (id != item || method != 0 || length > kMostAlphaBytes || offset > file.size()) continue;
      const size_t filled = data.size();
      data.resize(filled + std::min(length, file.size() - offset));
      data.resize(filled +
                  source.read_at(static_cast<int64_t>(offset), data.data() + filled, data.size() - filled));
    }
    if (id == item) return data;
  }
  return {};
}

// The picture that AV1 makes of the data, or nothing.
ffmpeg::Frame decode_av1(const std::string& data) {
  const AVCodec* codec = avcodec_find_decoder(AV_CODEC_ID_AV1);
  if (codec == nullptr || data.empty()) return nullptr;
  const ffmpeg::CodecContext context = ffmpeg::make_codec_context(codec);
  context->thread_count = 1;
  context->max_pixels = int64_t{1} << 27;
  const ffmpeg::Packet packet = ffmpeg::make_packet();
  if (av_new_packet(packet.get(), static_cast<int>(data.size())) < 0) throw std::bad_alloc();
  std::copy(data.begin(), data.end(), packet->data);
  ffmpeg::Frame frame = ffmpeg::make_frame();
  const bool decoded = avcodec_open2(context.get(), codec, nullptr) >= 0 &&
                       avcodec_send_packet(context.get(), packet.get()) >= 0 &&
                       avcodec_send_packet(context.get(), nullptr) >= 0 &&
                       avcodec_receive_frame(context.get(), frame.get()) >= 0;
  return decoded && is_readable_format(*frame) ? std::move(frame) : nullptr;
}

}  // namespace

std::optional<AvifAlpha> read_avif_alpha(const MediaBytes& source, const std::string& name) {
  const ByteRegion file(source);
  if (!file.holds(4, "ftypavif") && !file.holds(4, "ftypavis") && !file.holds(4, "ftypmif1"))
    return std::nullopt;
  const AvifItems items = read_items(file);
  for (const auto& [item, owner] : items.auxiliary) {
    if (owner != items.primary || !is_alpha(items, item)) continue;
    const ffmpeg::Frame frame = decode_av1(item_data(file, source, items, item));
    CAVMAE_CHECK_AS(
        MediaError, frame != nullptr, "'", name,
        "' has an alpha plane that cannot be decoded; it is damaged or of an unusual kind: convert it to PNG");
    const torch::Tensor grey = torch::empty({frame->height, frame->width, 3}, torch::kUInt8);
    any_to_rgb(*frame, grey.data_ptr<uint8_t>());
    AvifAlpha alpha{.opacity = grey.select(2, 0).contiguous()};
    for (const auto& [colours, by] : items.premultiplied)
      alpha.premultiplied = alpha.premultiplied || (colours == items.primary && by == item);
    return alpha;
  }
  return std::nullopt;
}

torch::Tensor on_white(const torch::Tensor& image, const AvifAlpha& alpha) {
  if (alpha.opacity.size(0) != image.size(0) || alpha.opacity.size(1) != image.size(1)) return image;
  const torch::Tensor opacity = alpha.opacity.unsqueeze(2).to(torch::kInt32);
  const torch::Tensor colours = image.to(torch::kInt32);
  const torch::Tensor shown = alpha.premultiplied
                                  ? colours + 255 - opacity
                                  : at::floor_divide(colours * opacity + 255 * (255 - opacity) + 127, 255);
  return shown.clamp(0, 255).to(torch::kUInt8);
}

}  // namespace cavmae
