// Decoded pictures of any pixel format as RGB tensors. Private to this folder; one owner.
#pragma once

#include <cstdint>

#include "cavmae/core/torch.h"
#include "cavmae/media/ffmpeg.h"

namespace cavmae {

class ImageConverter {
 public:
  // `rotation_degrees`: clockwise, a multiple of 90.
  explicit ImageConverter(int64_t rotation_degrees) : rotation_degrees_(rotation_degrees) {}

  // uint8 [H, W, 3], as it is shown; what is transparent shows white. Throws MediaError for a format that
  // FFmpeg cannot convert.
  torch::Tensor convert(const AVFrame& frame);

 private:
  torch::Tensor scale(const AVFrame& frame);  // for what is not plain YUV
  void prepare(const AVFrame& frame);

  int64_t rotation_degrees_;
  ffmpeg::Scaler scaler_;
  ffmpeg::Frame rgb_;     // RGB, or RGBA of what is transparent
  ffmpeg::Frame source_;  // what the scaler was made for: its size, format, colours
};

}  // namespace cavmae
