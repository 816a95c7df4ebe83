#include "cavmae/media/ffmpeg.h"

#include <array>
#include <cstdarg>
#include <cstring>
#include <new>
#include <string_view>

#include "cavmae/media/limits.h"

namespace cavmae::ffmpeg {
namespace {

// Takes the place of FFmpeg's printing. The messages are those of av_image_check_size2() and
// avformat_new_stream().
void note_refusal(void* /*context*/, int /*level*/, const char* format, va_list values) {
  const std::string_view text = format;
  if (text.starts_with("Picture size %ux%u")) {
    const unsigned width = va_arg(values, unsigned), height = va_arg(values, unsigned);
    if (width > 0 && height > 0) refusals().width = width, refusals().height = height;
  } else if (text.starts_with("Number of streams exceeds")) {
    refusals().too_many_streams = true;
  }
}

}  // namespace

Frame make_frame() {
  Frame frame(av_frame_alloc());
  if (!frame) throw std::bad_alloc();
  return frame;
}

Packet make_packet() {
  Packet packet(av_packet_alloc());
  if (!packet) throw std::bad_alloc();
  return packet;
}

CodecContext make_codec_context(const AVCodec* codec) {
  CodecContext context(avcodec_alloc_context3(codec));
  if (!context) throw std::bad_alloc();
  return context;
}

std::string error_text(int code) {
  std::array<char, AV_ERROR_MAX_STRING_SIZE> text{};
  av_strerror(code, text.data(), text.size());
  return text.data();
}

std::string codec_name(const AVStream& stream) {
  const AVCodecParameters& parameters = *stream.codecpar;
  if (parameters.codec_id != AV_CODEC_ID_NONE) return avcodec_get_name(parameters.codec_id);
  std::array<char, AV_FOURCC_MAX_STRING_SIZE> letters{};
  av_fourcc_make_string(letters.data(), parameters.codec_tag);
  return std::string("'") + letters.data() + "'";
}

Refusals& refusals() {
  thread_local Refusals of_this_thread;
  return of_this_thread;
}

void tame() {
  static const bool done = [] {
    av_log_set_callback(note_refusal);
    av_max_alloc(kMaxBytesAtOnce);
    return true;
  }();
  static_cast<void>(done);
}

namespace {

template <class Enum>
void drop_unknown(Enum& field, int count, Enum unspecified) {
  int number = 0;
  static_assert(sizeof number == sizeof field);
  std::memcpy(&number, &field, sizeof number);
  if (number < 0 || number >= count) field = unspecified;
}

template <class Holder>
void drop_unknown_fields(Holder& holder, AVColorSpace& space) {
  drop_unknown(space, AVCOL_SPC_NB, AVCOL_SPC_UNSPECIFIED);
  drop_unknown(holder.color_range, AVCOL_RANGE_NB, AVCOL_RANGE_UNSPECIFIED);
  drop_unknown(holder.color_primaries, AVCOL_PRI_NB, AVCOL_PRI_UNSPECIFIED);
  drop_unknown(holder.color_trc, AVCOL_TRC_NB, AVCOL_TRC_UNSPECIFIED);
  drop_unknown(holder.chroma_location, AVCHROMA_LOC_NB, AVCHROMA_LOC_UNSPECIFIED);
}

}  // namespace

void drop_unknown_colours(AVCodecParameters& video) {
  drop_unknown_fields(video, video.color_space);
}

void drop_unknown_colours(AVFrame& picture) {
  drop_unknown_fields(picture, picture.colorspace);
}

double priming_seconds(const AVCodecParameters& audio) {
  if (audio.sample_rate <= 0) return 0.0;
  const double rate = audio.sample_rate;
  switch (audio.codec_id) {
    case AV_CODEC_ID_AAC:
      return 1024 / rate;
    case AV_CODEC_ID_MP3:
      return 1105 / rate;
    case AV_CODEC_ID_AC3:
    case AV_CODEC_ID_EAC3:
      return 256 / rate;
    default:
      return 0.0;
  }
}

}  // namespace cavmae::ffmpeg
