// Decoded pictures of any pixel format as RGB. Private to this folder; one owner.
#pragma once

#include "cavmae/media/ffmpeg.h"
#include "cavmae/media/orientation.h"
#include "cavmae/picture/picture.h"

namespace cavmae {

class ImageConverter {
 public:
  // Turned; what is transparent shows white. Throws MediaError for a format that FFmpeg
  // cannot convert.
  Picture convert(const AVFrame& frame, const Orientation& orientation);

 private:
  Picture scale(const AVFrame& frame);  // for what cannot be read component by component
  void prepare(const AVFrame& frame);

  ffmpeg::Scaler scaler_;
  ffmpeg::Frame rgb_;
  ffmpeg::Frame source_;  // what the scaler was made for: its size, format, colours
};

}  // namespace cavmae
