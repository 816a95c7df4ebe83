#include "cavmae/media/orientation.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace cavmae {
namespace {

constexpr size_t kMatrixBytes = 9 * sizeof(int32_t);

// The matrix takes (x, y) to (a x + c y, b x + d y); how long its vectors are does not matter here.
Orientation nearest_orientation(const uint8_t* matrix) {
  int32_t m[9];
  std::memcpy(m, matrix, kMatrixBytes);
  const int64_t a = m[0], b = m[1], c = m[3], d = m[4];
  const bool transpose = std::llabs(b) + std::llabs(c) > std::llabs(a) + std::llabs(d);
  return {.transpose = transpose,
          .flip_horizontal = (transpose ? c : a) < 0,
          .flip_vertical = (transpose ? b : d) < 0};
}

}  // namespace

int64_t Orientation::rotation_degrees() const {
  if (!transpose) return flip_vertical ? 180 : 0;
  return flip_horizontal ? 90 : 270;
}

Picture turned(const Picture& picture, const Orientation& orientation) {
  constexpr int64_t kTile = 32;  // rows and columns of one change places within the caches
  const bool transpose = orientation.transpose;
  const int64_t height = transpose ? picture.width_px() : picture.height_px(),
                width = transpose ? picture.height_px() : picture.width_px();
  Picture out(height, width);
  const auto copy = [&](int64_t y, int64_t x) {
    const int64_t row = orientation.flip_vertical ? height - 1 - y : y,
                  column = orientation.flip_horizontal ? width - 1 - x : x;
    const uint8_t* from = picture.pixels() + (transpose ? column * picture.row_bytes() + 3 * row
                                                        : row * picture.row_bytes() + 3 * column);
    std::memcpy(out.pixels() + y * out.row_bytes() + 3 * x, from, 3);
  };
  for (int64_t top = 0; top < height; top += kTile)
    for (int64_t left = 0; left < width; left += kTile)
      for (int64_t y = top; y < std::min(height, top + kTile); ++y)
        for (int64_t x = left; x < std::min(width, left + kTile); ++x) copy(y, x);
  return out;
}

Orientation orientation_of(const AVStream& stream) {
#if LIBAVFORMAT_VERSION_MAJOR >= 61
  const AVPacketSideData* data = av_packet_side_data_get(
      stream.codecpar->coded_side_data, stream.codecpar->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
  return data != nullptr && data->size >= kMatrixBytes ? nearest_orientation(data->data) : Orientation{};
#else
  size_t size = 0;
  const uint8_t* data = av_stream_get_side_data(&stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
  return data != nullptr && size >= kMatrixBytes ? nearest_orientation(data) : Orientation{};
#endif
}

Orientation orientation_of(const AVFrame& frame, const Orientation& of_stream) {
  const AVFrameSideData* data = av_frame_get_side_data(&frame, AV_FRAME_DATA_DISPLAYMATRIX);
  return data != nullptr && data->size >= kMatrixBytes ? nearest_orientation(data->data) : of_stream;
}

}  // namespace cavmae
