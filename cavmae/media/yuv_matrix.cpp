#include "cavmae/media/yuv_matrix.h"

namespace cavmae {
namespace {

// Of 8 bits FFmpeg takes grey for full whatever the file says.
bool is_full_grey(const AVFrame& frame) {
  const AVPixFmtDescriptor* format = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
  const bool unsaid = frame.color_range == AVCOL_RANGE_UNSPECIFIED;
  return format != nullptr && format->nb_components <= 2 &&
         (format->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL)) == 0 &&
         (unsaid || format->comp[0].depth <= 8);
}

}  // namespace

bool has_full_range(const AVFrame& frame) {
  switch (frame.format) {
    case AV_PIX_FMT_YUVJ411P:
    case AV_PIX_FMT_YUVJ420P:
    case AV_PIX_FMT_YUVJ422P:
    case AV_PIX_FMT_YUVJ440P:
    case AV_PIX_FMT_YUVJ444P:
      return true;
    default:
      return frame.color_range == AVCOL_RANGE_JPEG || is_full_grey(frame);
  }
}

bool has_yuv_matrix(const AVFrame& frame) {
  return frame.colorspace != AVCOL_SPC_YCGCO && frame.colorspace != AVCOL_SPC_RGB;
}

// From the weights of red and blue in the luma, which each standard names (ITU-T H.273, table 4).
YuvMatrix yuv_matrix(const AVFrame& frame) {
  float red = 0.299f, blue = 0.114f;  // BT.601, also where a file says nothing
  if (frame.colorspace == AVCOL_SPC_BT709) red = 0.2126f, blue = 0.0722f;
  if (frame.colorspace == AVCOL_SPC_BT2020_NCL || frame.colorspace == AVCOL_SPC_BT2020_CL)
    red = 0.2627f, blue = 0.0593f;
  if (frame.colorspace == AVCOL_SPC_SMPTE240M) red = 0.212f, blue = 0.087f;
  if (frame.colorspace == AVCOL_SPC_FCC) red = 0.30f, blue = 0.11f;
  const float green = 1.0f - red - blue;
  const bool full = has_full_range(frame);
  const float chroma = full ? 1.0f : 255.0f / 224.0f;
  return {.scale = full ? 1.0f : 255.0f / 219.0f,
          .black = full ? 0.0f : 16.0f,
          .red_v = 2.0f * (1.0f - red) * chroma,
          .green_u = 2.0f * (1.0f - blue) * blue / green * chroma,
          .green_v = 2.0f * (1.0f - red) * red / green * chroma,
          .blue_u = 2.0f * (1.0f - blue) * chroma};
}

}  // namespace cavmae
