#include "cavmae/media/ffmpeg.h"

#include <array>
#include <new>

namespace cavmae::ffmpeg {
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

void silence_log() {
  static const bool done = [] {
    av_log_set_level(AV_LOG_QUIET);
    return true;
  }();
  static_cast<void>(done);
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
