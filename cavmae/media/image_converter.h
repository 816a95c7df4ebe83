// Decoded pictures of any pixel format as RGB tensors. Private to this folder; one owner.
#pragma once

#include "cavmae/core/torch.h"
#include "cavmae/media/ffmpeg.h"
#include "cavmae/media/orientation.h"

namespace cavmae {

class ImageConverter {
 public:
  // uint8 [H, W, 3], turned; what is transparent shows white. Throws MediaError for a format that FFmpeg
  // cannot convert.
  torch::Tensor convert(const AVFrame& frame, const Orientation& orientation);

 private:
  torch::Tensor scale(const AVFrame& frame);  // for what cannot be read component by component
  void prepare(const AVFrame& frame);

  ffmpeg::Scaler scaler_;
  ffmpeg::Frame rgb_;
  ffmpeg::Frame source_;  // what the scaler was made for: its size, format, colours
};

}  // namespace cavmae
