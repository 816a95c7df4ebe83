#include "cavmae/media/image_converter.h"

#include <cstring>
#include <new>

#include "cavmae/core/error.h"
#include "cavmae/media/any_to_rgb.h"
#include "cavmae/media/yuv_matrix.h"
#include "cavmae/media/yuv_to_rgb.h"

namespace cavmae {
namespace {

ffmpeg::Scaler make_scaler(const AVFrame& frame) {
  ffmpeg::Scaler scaler(sws_alloc_context());
  if (!scaler) throw std::bad_alloc();
  const int flags = SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP;
  const auto set = [&](const char* name, int64_t value) { av_opt_set_int(scaler.get(), name, value, 0); };
  set("srcw", frame.width);
  set("srch", frame.height);
  set("dstw", frame.width);
  set("dsth", frame.height);
  set("src_format", frame.format);
  set("dst_format", AV_PIX_FMT_RGB24);
  set("src_range", has_full_range(frame) ? 1 : 0);
  set("dst_range", 1);
  set("sws_flags", flags);
  const int result = sws_init_context(scaler.get(), nullptr, nullptr);
  const char* name = av_get_pix_fmt_name(static_cast<AVPixelFormat>(frame.format));
  CAVMAE_CHECK_AS(MediaError, result >= 0, "cannot turn a picture of ", frame.width, "x", frame.height, " (",
                  name == nullptr ? "unknown format" : name, ") into RGB: ", ffmpeg::error_text(result));
  // FFmpeg's numbers of matrices are those of the frame's; it takes BT.601 where a file says nothing.
  const int* matrix = sws_getCoefficients(frame.colorspace);
  sws_setColorspaceDetails(scaler.get(), matrix, has_full_range(frame) ? 1 : 0, matrix, 1, 0, 1 << 16,
                           1 << 16);
  return scaler;
}

bool same_kind(const AVFrame& a, const AVFrame& b) {
  return a.width == b.width && a.height == b.height && a.format == b.format &&
         a.color_range == b.color_range && a.colorspace == b.colorspace;
}

}  // namespace

void ImageConverter::prepare(const AVFrame& frame) {
  if (scaler_ && same_kind(*source_, frame)) return;
  scaler_ = make_scaler(frame);
  source_ = ffmpeg::make_frame();
  source_->width = frame.width;
  source_->height = frame.height;
  source_->format = frame.format;
  source_->color_range = frame.color_range;
  source_->colorspace = frame.colorspace;
  rgb_ = ffmpeg::make_frame();
  rgb_->width = frame.width;
  rgb_->height = frame.height;
  rgb_->format = AV_PIX_FMT_RGB24;
  if (av_frame_get_buffer(rgb_.get(), 0) < 0) throw std::bad_alloc();
}

Picture ImageConverter::convert(const AVFrame& frame, const Orientation& orientation) {
  Picture picture;
  if (is_plain_yuv(frame) || is_readable_format(frame)) {
    picture = Picture(frame.height, frame.width);
    is_plain_yuv(frame) ? yuv_to_rgb(frame, picture.pixels()) : any_to_rgb(frame, picture.pixels());
  } else {
    picture = scale(frame);
  }
  return orientation == Orientation{} ? picture : turned(picture, orientation);
}

Picture ImageConverter::scale(const AVFrame& frame) {
  prepare(frame);
  const int rows =
      sws_scale(scaler_.get(), frame.data, frame.linesize, 0, frame.height, rgb_->data, rgb_->linesize);
  CAVMAE_CHECK_AS(MediaError, rows == frame.height, "a picture could not be turned into RGB");
  // FFmpeg's fast paths write whole vectors, past a row's end: hence its own padded frame, and a copy.
  Picture picture(frame.height, frame.width);
  for (int64_t y = 0; y < frame.height; ++y)
    std::memcpy(picture.pixels() + y * picture.row_bytes(), rgb_->data[0] + y * rgb_->linesize[0],
                static_cast<size_t>(picture.row_bytes()));
  return picture;
}

}  // namespace cavmae
