#include "cavmae/media/image_writer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <new>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/media/ffmpeg.h"

namespace cavmae {
namespace {

ffmpeg::Frame new_frame(const Picture& picture, AVPixelFormat format) {
  ffmpeg::Frame frame = ffmpeg::make_frame();
  frame->width = static_cast<int>(picture.width_px());
  frame->height = static_cast<int>(picture.height_px());
  frame->format = format;
  if (av_frame_get_buffer(frame.get(), 0) < 0) throw std::bad_alloc();
  return frame;
}

ffmpeg::Frame to_rgb_frame(const Picture& picture) {
  ffmpeg::Frame frame = new_frame(picture, AV_PIX_FMT_RGB24);
  for (int64_t y = 0; y < frame->height; ++y)
    std::memcpy(frame->data[0] + y * frame->linesize[0], picture.pixels() + y * picture.row_bytes(),
                static_cast<size_t>(picture.row_bytes()));
  return frame;
}

// JPEG's own colours: BT.601 in full range; the chroma is not halved, pictures here are small.
ffmpeg::Frame to_jpeg_frame(const Picture& picture) {
  const ffmpeg::Frame rgb = to_rgb_frame(picture);
  ffmpeg::Frame yuv = new_frame(picture, AV_PIX_FMT_YUVJ444P);
  const ffmpeg::Scaler scaler(sws_getContext(rgb->width, rgb->height, AV_PIX_FMT_RGB24, yuv->width,
                                             yuv->height, AV_PIX_FMT_YUV444P, SWS_BILINEAR | SWS_ACCURATE_RND,
                                             nullptr, nullptr, nullptr));
  CAVMAE_CHECK_AS(MediaError, scaler != nullptr, "a picture of ", rgb->width, "x", rgb->height,
                  " cannot be written as JPEG");
  const int* matrix = sws_getCoefficients(SWS_CS_ITU601);
  sws_setColorspaceDetails(scaler.get(), matrix, 1, matrix, 1, 0, 1 << 16, 1 << 16);
  sws_scale(scaler.get(), rgb->data, rgb->linesize, 0, rgb->height, yuv->data, yuv->linesize);
  return yuv;
}

// The quantiser scale of FFmpeg's encoder whose tables come near those that libjpeg has for the quality.
int quantizer_scale(int quality) {
  const double percent = quality < 50 ? 5000.0 / quality : 200.0 - 2.0 * quality;
  return std::clamp(static_cast<int>(std::lround(1.0 + 0.14 * percent)), 1, 31);
}

std::string encode(const AVFrame& frame, AVCodecID id, int quantizer) {
  ffmpeg::tame();
  const AVCodec* codec = avcodec_find_encoder(id);
  CAVMAE_CHECK_AS(MediaError, codec != nullptr, "this FFmpeg cannot write ", avcodec_get_name(id),
                  " pictures");
  const ffmpeg::CodecContext context = ffmpeg::make_codec_context(codec);
  context->width = frame.width;
  context->height = frame.height;
  context->pix_fmt = static_cast<AVPixelFormat>(frame.format);
  context->time_base = {1, 1};
  context->thread_count = 1;
  if (quantizer > 0) {
    context->flags |= AV_CODEC_FLAG_QSCALE;
    context->qmin = context->qmax = quantizer;
    context->global_quality = quantizer * FF_QP2LAMBDA;
    context->color_range = AVCOL_RANGE_JPEG;
  }
  int result = avcodec_open2(context.get(), codec, nullptr);
  if (result >= 0) result = avcodec_send_frame(context.get(), &frame);
  if (result >= 0) result = avcodec_send_frame(context.get(), nullptr);
  const ffmpeg::Packet packet = ffmpeg::make_packet();
  if (result >= 0) result = avcodec_receive_packet(context.get(), packet.get());
  CAVMAE_CHECK_AS(MediaError, result >= 0, "a picture of ", frame.width, "x", frame.height,
                  " cannot be written as ", codec->name, ": ", ffmpeg::error_text(result));
  return {reinterpret_cast<const char*>(packet->data), static_cast<size_t>(packet->size)};
}

void check_picture(const Picture& picture) {
  CAVMAE_CHECK(picture.num_bytes() > 0, "there is no picture to write");
}

}  // namespace

std::string encode_png(const Picture& picture) {
  check_picture(picture);
  return encode(*to_rgb_frame(picture), AV_CODEC_ID_PNG, 0);
}

std::string encode_jpeg(const Picture& picture, int quality) {
  check_picture(picture);
  CAVMAE_CHECK(quality >= 1 && quality <= 100, "encode_jpeg: quality is ", quality, "; it must be 1 to 100");
  ffmpeg::Frame frame = to_jpeg_frame(picture);
  frame->quality = quantizer_scale(quality) * FF_QP2LAMBDA;
  return encode(*frame, AV_CODEC_ID_MJPEG, quantizer_scale(quality));
}

void write_png(const std::filesystem::path& path, const Picture& picture) {
  write_file(path, encode_png(picture));
}

}  // namespace cavmae
