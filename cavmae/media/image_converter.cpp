#include "cavmae/media/image_converter.h"

#include <cstring>
#include <new>

#include "cavmae/core/error.h"
#include "cavmae/media/yuv_to_rgb.h"

namespace cavmae {
namespace {

// The "J" formats of old are the plain ones with full range.
AVPixelFormat without_range(AVPixelFormat format) {
  switch (format) {
    case AV_PIX_FMT_YUVJ411P:
      return AV_PIX_FMT_YUV411P;
    case AV_PIX_FMT_YUVJ420P:
      return AV_PIX_FMT_YUV420P;
    case AV_PIX_FMT_YUVJ422P:
      return AV_PIX_FMT_YUV422P;
    case AV_PIX_FMT_YUVJ440P:
      return AV_PIX_FMT_YUV440P;
    case AV_PIX_FMT_YUVJ444P:
      return AV_PIX_FMT_YUV444P;
    default:
      return format;
  }
}

bool has_full_range(const AVFrame& frame) {
  const auto format = static_cast<AVPixelFormat>(frame.format);
  return frame.color_range == AVCOL_RANGE_JPEG || without_range(format) != format;
}

// Where a chroma sample lies between luma samples, in 1/256 of one; -513 leaves it to FFmpeg.
struct ChromaPosition {
  int horizontal = -513, vertical = -513;
};

ChromaPosition chroma_position(AVChromaLocation location) {
  switch (location) {
    case AVCHROMA_LOC_LEFT:
      return {.horizontal = 0, .vertical = 128};
    case AVCHROMA_LOC_CENTER:
      return {.horizontal = 128, .vertical = 128};
    case AVCHROMA_LOC_TOPLEFT:
      return {.horizontal = 0, .vertical = 0};
    default:
      return {};
  }
}

bool is_transparent(const AVFrame& frame) {
  const AVPixFmtDescriptor* format = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
  return format != nullptr && (format->flags & AV_PIX_FMT_FLAG_ALPHA) != 0;
}

AVPixelFormat rgb_format(const AVFrame& frame) {
  return is_transparent(frame) ? AV_PIX_FMT_RGBA : AV_PIX_FMT_RGB24;
}

// A row of RGBA as it looks on white paper. What lies under a transparent pixel is often black, or rubbish.
void lay_on_white(const uint8_t* rgba, uint8_t* rgb, int64_t width) {
  for (int64_t x = 0; x < width; ++x, rgba += 4, rgb += 3) {
    const int opacity = rgba[3];
    for (int c = 0; c < 3; ++c)
      rgb[c] = static_cast<uint8_t>((rgba[c] * opacity + 255 * (255 - opacity) + 127) / 255);
  }
}

ffmpeg::Scaler make_scaler(const AVFrame& frame) {
  ffmpeg::Scaler scaler(sws_alloc_context());
  if (!scaler) throw std::bad_alloc();
  // The filter concerns the chroma alone, as nothing is scaled.
  const int flags = SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP;
  const ChromaPosition chroma = chroma_position(frame.chroma_location);
  const auto set = [&](const char* name, int64_t value) { av_opt_set_int(scaler.get(), name, value, 0); };
  set("srcw", frame.width);
  set("srch", frame.height);
  set("dstw", frame.width);
  set("dsth", frame.height);
  set("src_format", without_range(static_cast<AVPixelFormat>(frame.format)));
  set("dst_format", rgb_format(frame));
  set("src_range", has_full_range(frame) ? 1 : 0);
  set("dst_range", 1);
  set("sws_flags", flags);
  set("src_h_chr_pos", chroma.horizontal);
  set("src_v_chr_pos", chroma.vertical);
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
         a.color_range == b.color_range && a.colorspace == b.colorspace &&
         a.chroma_location == b.chroma_location;
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
  source_->chroma_location = frame.chroma_location;
  rgb_ = ffmpeg::make_frame();
  rgb_->width = frame.width;
  rgb_->height = frame.height;
  rgb_->format = rgb_format(frame);
  if (av_frame_get_buffer(rgb_.get(), 0) < 0) throw std::bad_alloc();
}

torch::Tensor ImageConverter::convert(const AVFrame& frame) {
  torch::Tensor image;
  if (is_plain_yuv(frame)) {
    const int64_t num_bytes = int64_t{frame.height} * frame.width * 3;
    const torch::Tensor bytes = torch::empty({num_bytes + 1}, torch::kUInt8);
    yuv_to_rgb(frame, bytes.data_ptr<uint8_t>());
    image = bytes.narrow(0, 0, num_bytes).view({frame.height, frame.width, 3});
  } else {
    image = scale(frame);
  }
  const int64_t counterclockwise = (4 - rotation_degrees_ / 90) % 4;
  return counterclockwise == 0 ? image : at::rot90(image, counterclockwise, {0, 1}).contiguous();
}

torch::Tensor ImageConverter::scale(const AVFrame& frame) {
  prepare(frame);
  const int rows =
      sws_scale(scaler_.get(), frame.data, frame.linesize, 0, frame.height, rgb_->data, rgb_->linesize);
  CAVMAE_CHECK_AS(MediaError, rows == frame.height, "a picture could not be turned into RGB");
  // FFmpeg's fast paths write whole vectors, past a row's end: hence its own padded frame, and a copy.
  torch::Tensor image = torch::empty({frame.height, frame.width, 3}, torch::kUInt8);
  const size_t row_bytes = static_cast<size_t>(frame.width) * 3;
  auto* out = image.data_ptr<uint8_t>();
  for (int y = 0; y < frame.height; ++y) {
    const uint8_t* row = rgb_->data[0] + int64_t{y} * rgb_->linesize[0];
    uint8_t* to = out + static_cast<size_t>(y) * row_bytes;
    if (rgb_->format == AV_PIX_FMT_RGBA)
      lay_on_white(row, to, frame.width);
    else
      std::memcpy(to, row, row_bytes);
  }
  return image;
}

}  // namespace cavmae
