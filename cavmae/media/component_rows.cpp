#include "cavmae/media/component_rows.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace cavmae {
namespace {

constexpr float kHighestOfFloats = 65535.0f;

bool has_flag(const AVPixFmtDescriptor& format, uint64_t flag) {
  return (format.flags & flag) != 0;
}

// Whether FFmpeg reads the format in the bytes' order of this machine.
bool is_native(const AVPixFmtDescriptor& format) {
  return has_flag(format, AV_PIX_FMT_FLAG_BE) == (std::endian::native == std::endian::big);
}

// Chroma is counted in rounded-up halves (and quarters).
int reduced(int size, int shift) {
  return -((-size) >> shift);
}

}  // namespace

bool ComponentRows::can_read(const AVPixFmtDescriptor& format) {
  constexpr uint64_t kOthers =
      AV_PIX_FMT_FLAG_HWACCEL | AV_PIX_FMT_FLAG_BITSTREAM | AV_PIX_FMT_FLAG_BAYER | AV_PIX_FMT_FLAG_PAL;
  if (has_flag(format, kOthers)) return false;
  for (int c = 0; c < format.nb_components; ++c) {
    const int depth = format.comp[c].depth;
    const bool known = has_flag(format, AV_PIX_FMT_FLAG_FLOAT) ? depth == 32 && is_native(format)
                                                               : depth >= 8 && depth <= 16;
    if (!known) return false;
  }
  return format.nb_components > 0;
}

ComponentRows::ComponentRows(const AVFrame& frame, int component)
    : frame_(frame),
      format_(*av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format))),
      component_(component) {
  const bool is_chroma = format_.nb_components >= 3 && (component == 1 || component == 2) &&
                         !has_flag(format_, AV_PIX_FMT_FLAG_RGB);
  width_ = is_chroma ? reduced(frame.width, format_.log2_chroma_w) : frame.width;
  height_ = is_chroma ? reduced(frame.height, format_.log2_chroma_h) : frame.height;
  const int depth = format_.comp[component].depth;
  highest_ = depth == 32 ? kHighestOfFloats : static_cast<float>((1 << depth) - 1);
  row_.resize(static_cast<size_t>(width_));
}

template <class Number>
void ComponentRows::copy_plain(const uint8_t* from) {
  const int step = format_.comp[component_].step, shift = format_.comp[component_].shift;
  const auto mask = static_cast<unsigned>((1 << format_.comp[component_].depth) - 1);
  for (int x = 0; x < width_; ++x, from += step) {
    Number number;
    std::memcpy(&number, from, sizeof(number));
    row_[static_cast<size_t>(x)] = static_cast<uint16_t>((number >> shift) & mask);
  }
}

void ComponentRows::copy_floats(const uint8_t* from) {
  for (int x = 0; x < width_; ++x, from += format_.comp[component_].step) {
    float number;
    std::memcpy(&number, from, sizeof(number));
    const float scaled =
        number > 0.0f ? std::min(number, 1.0f) * kHighestOfFloats : 0.0f;  // 0 of what is no number
    row_[static_cast<size_t>(x)] = static_cast<uint16_t>(scaled + 0.5f);
  }
}

const uint16_t* ComponentRows::row(int y) {
  const AVComponentDescriptor& component = format_.comp[component_];
  const uint8_t* from =
      frame_.data[component.plane] + int64_t{y} * frame_.linesize[component.plane] + component.offset;
  const int bits = component.depth + component.shift;
  if (has_flag(format_, AV_PIX_FMT_FLAG_FLOAT)) {
    copy_floats(from);
  } else if (bits <= 8 && !has_flag(format_, AV_PIX_FMT_FLAG_BE)) {
    copy_plain<uint8_t>(from);
  } else if (bits > 8 && bits <= 16 && is_native(format_)) {
    copy_plain<uint16_t>(from);
  } else {
    const uint8_t* planes[4] = {frame_.data[0], frame_.data[1], frame_.data[2], frame_.data[3]};
    av_read_image_line2(row_.data(), planes, frame_.linesize, &format_, 0, y, component_, width_, 0,
                        sizeof(uint16_t));
  }
  return row_.data();
}

}  // namespace cavmae
