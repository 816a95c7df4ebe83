#include "cavmae/media/yuv_to_rgb.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "cavmae/media/yuv_matrix.h"

namespace cavmae {
namespace {

constexpr int kLanes = 4;
using V = float __attribute__((vector_size(kLanes * sizeof(float))));
using VInt = int32_t __attribute__((vector_size(kLanes * sizeof(int32_t))));
using VByte = uint8_t __attribute__((vector_size(kLanes)));

// How the rows of a chroma plane are blended for one row of pixels: (near * near_weight + far * (4 - ...))
// / 4.
struct RowBlend {
  int near = 0, far = 0, near_weight = 4;
};

RowBlend row_blend(int y, int num_rows, bool halved, bool between) {
  if (!halved) return {.near = y, .far = y};
  const int near = y / 2;
  if (between) {  // the sample lies between its two rows of pixels
    const int far = std::clamp(y % 2 == 0 ? near - 1 : near + 1, 0, num_rows - 1);
    return {.near = near, .far = far, .near_weight = 3};
  }
  return {.near = near, .far = std::min(near + 1, num_rows - 1), .near_weight = y % 2 == 0 ? 4 : 2};
}

class ChromaRows {
 public:
  ChromaRows(const AVFrame& frame, const AVPixFmtDescriptor& format) : frame_(frame) {
    half_width_ = format.log2_chroma_w == 1;
    half_height_ = format.log2_chroma_h == 1;
    width_ = half_width_ ? (frame.width + 1) / 2 : frame.width;
    height_ = half_height_ ? (frame.height + 1) / 2 : frame.height;
    const AVChromaLocation location = frame.chroma_location;
    const bool unsaid = location == AVCHROMA_LOC_UNSPECIFIED;
    between_columns_ = location == AVCHROMA_LOC_CENTER || location == AVCHROMA_LOC_TOP || unsaid;
    between_rows_ = location == AVCHROMA_LOC_CENTER || location == AVCHROMA_LOC_LEFT || unsaid;
    blended_.resize(static_cast<size_t>(width_));
  }

  // One row of a chroma plane (1 or 2), at every pixel, less 128. `out` has room for an even width.
  void fill(int plane, int y, float* out) {
    const RowBlend blend = row_blend(y, height_, half_height_, between_rows_);
    const uint8_t* near = frame_.data[plane] + int64_t{blend.near} * frame_.linesize[plane];
    const uint8_t* far = frame_.data[plane] + int64_t{blend.far} * frame_.linesize[plane];
    const int near_weight = blend.near_weight, far_weight = 4 - near_weight;
    for (int x = 0; x < width_; ++x)
      blended_[static_cast<size_t>(x)] = near[x] * near_weight + far[x] * far_weight;
    if (half_width_) {
      widen(out);
    } else {
      for (int x = 0; x < width_; ++x)
        out[x] = static_cast<float>(((blended_[static_cast<size_t>(x)] + 2) >> 2) - 128);
    }
  }

 private:
  void widen(float* out) const {
    const int* row = blended_.data();
    const int last = width_ - 1;
    for (int x = 0; x <= last; ++x) {
      const int here = row[x], left = row[std::max(x - 1, 0)], right = row[std::min(x + 1, last)];
      // Halves go up at even and down at odd pixels, lest the picture as a whole gets lighter.
      const int even = between_columns_ ? 3 * here + left + 8 : 4 * here + 8;
      const int odd = between_columns_ ? 3 * here + right + 7 : 2 * here + 2 * right + 8;
      out[2 * x] = static_cast<float>((even >> 4) - 128);
      out[2 * x + 1] = static_cast<float>((odd >> 4) - 128);
    }
  }

  const AVFrame& frame_;
  bool half_width_, half_height_, between_columns_, between_rows_;
  int width_, height_;
  std::vector<int> blended_;  // four times a row
};

V load(const float* source) {
  V value;
  std::memcpy(&value, source, sizeof(value));
  return value;
}

// Rounded and clipped to 0..255.
VInt to_level(V value) {
  value += 0.5f;
  value = value > 0.0f ? value : V{};
  value = value < 255.0f ? value : V{} + 255.0f;
  return __builtin_convertvector(value, VInt);
}

struct PixelRow {
  const uint8_t* luma;
  const float *u, *v;
};

// `count` pixels, a multiple of kLanes; the last store reaches one byte further.
void convert_pixels(const YuvMatrix& m, const PixelRow& row, int count, uint8_t* out) {
  for (int x = 0; x < count; x += kLanes) {
    VByte bytes;
    std::memcpy(&bytes, row.luma + x, kLanes);
    const V luma = (__builtin_convertvector(__builtin_convertvector(bytes, VInt), V) - m.black) * m.scale;
    const V u = load(row.u + x), v = load(row.v + x);
    const VInt red = to_level(luma + m.red_v * v);
    const VInt green = to_level(luma - m.green_u * u - m.green_v * v);
    const VInt blue = to_level(luma + m.blue_u * u);
    const VInt pixels = red | green << 8 | blue << 16;
    for (int i = 0; i < kLanes; ++i) {
      const int32_t pixel = pixels[i];
      std::memcpy(out + 3 * (x + i), &pixel, sizeof(pixel));  // the next pixel covers the fourth byte
    }
  }
}

}  // namespace

bool is_plain_yuv(const AVFrame& frame) {
  switch (frame.format) {
    case AV_PIX_FMT_YUV420P:
    case AV_PIX_FMT_YUV422P:
    case AV_PIX_FMT_YUV440P:
    case AV_PIX_FMT_YUV444P:
    case AV_PIX_FMT_YUVJ420P:
    case AV_PIX_FMT_YUVJ422P:
    case AV_PIX_FMT_YUVJ440P:
    case AV_PIX_FMT_YUVJ444P:
      return has_yuv_matrix(frame);
    default:
      return false;
  }
}

void yuv_to_rgb(const AVFrame& frame, uint8_t* out) {
  const YuvMatrix matrix = yuv_matrix(frame);
  ChromaRows chroma(frame, *av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format)));
  const int width = frame.width, whole = width / kLanes * kLanes;
  std::vector<float> u(static_cast<size_t>(width + kLanes)), v(u.size());
  for (int y = 0; y < frame.height; ++y) {
    chroma.fill(1, y, u.data());
    chroma.fill(2, y, v.data());
    const uint8_t* luma = frame.data[0] + int64_t{y} * frame.linesize[0];
    uint8_t* target = out + int64_t{y} * width * 3;
    convert_pixels(matrix, {.luma = luma, .u = u.data(), .v = v.data()}, whole, target);
    if (whole == width) continue;
    // The rest of a row, by way of a full vector.
    uint8_t last_luma[kLanes] = {}, last_pixels[3 * kLanes + 1];
    std::memcpy(last_luma, luma + whole, static_cast<size_t>(width - whole));
    convert_pixels(matrix, {.luma = last_luma, .u = u.data() + whole, .v = v.data() + whole}, kLanes,
                   last_pixels);
    std::memcpy(target + 3 * whole, last_pixels, static_cast<size_t>(3 * (width - whole)));
  }
}

}  // namespace cavmae
