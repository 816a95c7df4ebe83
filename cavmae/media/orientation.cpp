#include "cavmae/media/orientation.h"

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

torch::Tensor turned(const torch::Tensor& image, const Orientation& orientation) {
  torch::Tensor out = orientation.transpose ? image.transpose(0, 1) : image;
  if (orientation.flip_horizontal) out = out.flip({1});
  if (orientation.flip_vertical) out = out.flip({0});
  return out.contiguous();
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
