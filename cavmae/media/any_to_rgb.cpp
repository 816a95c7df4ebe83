#include "cavmae/media/any_to_rgb.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "cavmae/media/chroma_plane.h"
#include "cavmae/media/component_rows.h"
#include "cavmae/media/yuv_matrix.h"

namespace cavmae {
namespace {

const AVPixFmtDescriptor& description_of(const AVFrame& frame) {
  return *av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
}

// Rows of a picture as levels from 0 to 255 that are not yet rounded.
class Colours {
 public:
  virtual ~Colours() = default;
  virtual void fill(int y, float* red, float* green, float* blue) = 0;
};

class RgbColours : public Colours {
 public:
  explicit RgbColours(const AVFrame& frame) : rows_{{{frame, 0}, {frame, 1}, {frame, 2}}} {}

  void fill(int y, float* red, float* green, float* blue) override {
    float* const out[] = {red, green, blue};
    for (size_t c = 0; c < rows_.size(); ++c) {
      const uint16_t* numbers = rows_[c].row(y);
      const float scale = 255.0f / rows_[c].highest();
      for (int x = 0; x < rows_[c].width(); ++x) out[c][x] = static_cast<float>(numbers[x]) * scale;
    }
  }

 private:
  std::array<ComponentRows, 3> rows_;
};

// Grey too, which has no chroma.
class YuvColours : public Colours {
 public:
  explicit YuvColours(const AVFrame& frame) : luma_(frame, 0), matrix_(yuv_matrix(frame)) {
    const AVPixFmtDescriptor& format = description_of(frame);
    const int depth = format.comp[0].depth;
    // Limited range is that of 8 bits with more binary places.
    to_8_bits_ =
        has_full_range(frame) ? 255.0f / luma_.highest() : std::ldexp(1.0f, 8 - (depth == 32 ? 16 : depth));
    if (format.nb_components < 3) return;
    u_.emplace(frame, 1, to_8_bits_);
    v_.emplace(frame, 2, to_8_bits_);
    u_row_.resize(static_cast<size_t>(frame.width));
    v_row_.resize(u_row_.size());
  }

  void fill(int y, float* red, float* green, float* blue) override {
    const uint16_t* luma = luma_.row(y);
    const int width = luma_.width();
    if (!u_) {
      for (int x = 0; x < width; ++x) red[x] = green[x] = blue[x] = level(luma[x]);
      return;
    }
    u_->fill(y, u_row_.data());
    v_->fill(y, v_row_.data());
    const float *u = u_row_.data(), *v = v_row_.data();
    for (int x = 0; x < width; ++x) {
      const float light = level(luma[x]);
      red[x] = light + matrix_.red_v * v[x];
      green[x] = light - matrix_.green_u * u[x] - matrix_.green_v * v[x];
      blue[x] = light + matrix_.blue_u * u[x];
    }
  }

 private:
  float level(uint16_t luma) const {
    return (static_cast<float>(luma) * to_8_bits_ - matrix_.black) * matrix_.scale;
  }

  ComponentRows luma_;
  YuvMatrix matrix_;
  float to_8_bits_;
  std::optional<ChromaPlane> u_, v_;
  std::vector<float> u_row_, v_row_;
};

uint8_t to_level(float value) {
  return static_cast<uint8_t>(std::clamp(value + 0.5f, 0.0f, 255.0f));
}

// As it looks on white paper. What lies under a transparent pixel is often black, or rubbish.
float on_white(float level, float opacity) {
  return std::clamp(level, 0.0f, 255.0f) * opacity + 255.0f * (1.0f - opacity);
}
uint8_t on_white(int level, int opacity) {
  return static_cast<uint8_t>((level * opacity + 255 * (255 - opacity) + 127) / 255);
}

void write_rows(const AVFrame& frame, const AVPixFmtDescriptor& format, uint8_t* out) {
  const bool is_rgb = (format.flags & AV_PIX_FMT_FLAG_RGB) != 0;
  std::unique_ptr<Colours> colours;
  if (is_rgb)
    colours = std::make_unique<RgbColours>(frame);
  else
    colours = std::make_unique<YuvColours>(frame);
  std::optional<ComponentRows> alpha;
  if ((format.flags & AV_PIX_FMT_FLAG_ALPHA) != 0) alpha.emplace(frame, format.nb_components - 1);
  std::array<std::vector<float>, 3> rows;
  for (auto& row : rows) row.resize(static_cast<size_t>(frame.width));
  for (int y = 0; y < frame.height; ++y, out += int64_t{3} * frame.width) {
    colours->fill(y, rows[0].data(), rows[1].data(), rows[2].data());
    const uint16_t* opacity = alpha ? alpha->row(y) : nullptr;
    for (size_t c = 0; c < rows.size(); ++c) {
      const float* row = rows[c].data();
      for (int x = 0; x < frame.width; ++x) {
        const float level =
            opacity == nullptr ? row[x] : on_white(row[x], static_cast<float>(opacity[x]) / alpha->highest());
        out[3 * x + static_cast<int>(c)] = to_level(level);
      }
    }
  }
}

bool is_rgb_of_bytes(const AVPixFmtDescriptor& format) {
  const auto* end = format.comp + format.nb_components;
  return (format.flags & AV_PIX_FMT_FLAG_RGB) != 0 &&
         std::all_of(format.comp, end,
                     [](const auto& component) { return component.depth == 8 && component.shift == 0; });
}

// RGB of 8 bits, in any order: opaque, no number changes.
void write_bytes(const AVFrame& frame, const AVPixFmtDescriptor& format, uint8_t* out) {
  const auto component = [&](int c, int y) {
    const AVComponentDescriptor& at = format.comp[c];
    return frame.data[at.plane] + int64_t{y} * frame.linesize[at.plane] + at.offset;
  };
  const bool has_alpha = (format.flags & AV_PIX_FMT_FLAG_ALPHA) != 0;
  for (int y = 0; y < frame.height; ++y, out += int64_t{3} * frame.width) {
    const uint8_t* alpha = has_alpha ? component(3, y) : nullptr;
    for (int c = 0; c < 3; ++c) {
      const uint8_t* from = component(c, y);
      const int64_t step = format.comp[c].step;
      for (int x = 0; x < frame.width; ++x)
        out[3 * x + c] =
            has_alpha ? on_white(int{from[x * step]}, int{alpha[x * format.comp[3].step]}) : from[x * step];
    }
  }
}

// Entries of a palette are ARGB in the machine's order of bytes.
void write_palette(const AVFrame& frame, uint8_t* out) {
  for (int y = 0; y < frame.height; ++y) {
    const uint8_t* row = frame.data[0] + int64_t{y} * frame.linesize[0];
    for (int x = 0; x < frame.width; ++x) {
      uint32_t entry;
      std::memcpy(&entry, frame.data[1] + size_t{4} * row[x], sizeof(entry));
      const int opacity = static_cast<int>(entry >> 24);
      for (const int shift : {16, 8, 0}) *out++ = on_white(static_cast<int>(entry >> shift & 255), opacity);
    }
  }
}

}  // namespace

bool is_readable_format(const AVFrame& frame) {
  const AVPixFmtDescriptor* format = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
  if (format == nullptr) return false;
  if (frame.format == AV_PIX_FMT_PAL8) return true;
  // Descriptions that say less than there is to know.
  for (const AVPixelFormat other : {AV_PIX_FMT_XYZ12LE, AV_PIX_FMT_XYZ12BE, AV_PIX_FMT_UYYVYY411})
    if (frame.format == other) return false;
  const bool is_yuv = (format->flags & AV_PIX_FMT_FLAG_RGB) == 0 && format->nb_components >= 3;
  return ComponentRows::can_read(*format) && (!is_yuv || has_yuv_matrix(frame));
}

void any_to_rgb(const AVFrame& frame, uint8_t* out) {
  const AVPixFmtDescriptor& format = description_of(frame);
  if (frame.format == AV_PIX_FMT_PAL8)
    write_palette(frame, out);
  else if (is_rgb_of_bytes(format))
    write_bytes(frame, format, out);
  else
    write_rows(frame, format, out);
}

}  // namespace cavmae
