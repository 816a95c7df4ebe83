#include "cavmae/media/avif_alpha.h"

#include <algorithm>
#include <new>

#include "cavmae/core/error.h"
#include "cavmae/media/any_to_rgb.h"
#include "cavmae/media/avif_items.h"
#include "cavmae/media/byte_region.h"
#include "cavmae/media/ffmpeg.h"

namespace cavmae {
namespace {

bool is_alpha(const AvifItems& items, uint64_t item) {
  for (const auto& [kind, content] : properties_of(items, item))
    if (kind == "auxC" && (content.holds(4, "urn:mpeg:mpegB:c") || content.holds(4, "urn:mpeg:hevc:20")))
      return true;
  return false;
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
  ffmpeg::drop_unknown_colours(*frame);
  return decoded && is_readable_format(*frame) ? std::move(frame) : nullptr;
}

}  // namespace

std::optional<AvifAlpha> read_avif_alpha(const MediaBytes& source, const std::string& name) {
  const ByteRegion file(source);
  const auto found = read_avif_items(file);
  if (!found) return std::nullopt;
  const AvifItems& items = *found;
  for (const auto& [item, owner] : items.auxiliary) {
    if (owner != items.primary || !is_alpha(items, item)) continue;
    const ffmpeg::Frame frame = decode_av1(item_data(file, source, items, item));
    CAVMAE_CHECK_AS(
        MediaError, frame != nullptr, "'", name,
        "' has an alpha plane that cannot be decoded; it is damaged or of an unusual kind: convert it to PNG");
    AvifAlpha alpha{.opacity = Picture(frame->height, frame->width)};
    any_to_rgb(*frame, alpha.opacity.pixels());
    for (const auto& [colours, by] : items.premultiplied)
      alpha.premultiplied = alpha.premultiplied || (colours == items.primary && by == item);
    return alpha;
  }
  return std::nullopt;
}

Picture on_white(const Picture& picture, const AvifAlpha& alpha) {
  if (alpha.opacity.height_px() != picture.height_px() || alpha.opacity.width_px() != picture.width_px())
    return picture;
  Picture out(picture.height_px(), picture.width_px());
  const uint8_t* colours = picture.pixels();
  const uint8_t* opacities = alpha.opacity.pixels();
  for (int64_t i = 0; i < picture.num_bytes(); ++i) {
    const int colour = colours[i], opacity = opacities[i];
    const int shown =
        alpha.premultiplied ? colour + 255 - opacity : (colour * opacity + 255 * (255 - opacity) + 127) / 255;
    out.pixels()[i] = static_cast<uint8_t>(std::min(shown, 255));
  }
  return out;
}

}  // namespace cavmae
