#include "cavmae/media/mp4_track.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <utility>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

using ffmpeg::error_text;

// Best first. The hardware encoders are left out: they may be compiled in without the device being there, and
// their output differs from machine to machine.
constexpr std::array<const char*, 3> kVideoEncoders = {"libx264", "libopenh264", "mpeg4"};

// The two fallbacks know no constant rate factor; these come near to the same quality.
void set_quality(AVCodecContext& codec, const std::string& encoder, int64_t crf) {
  if (encoder == "libx264") {
    av_opt_set(codec.priv_data, "preset", "veryfast", 0);
    av_opt_set_int(codec.priv_data, "crf", crf, 0);
    // Of pictures of two or three macroblocks a row its macroblock tree (r3095, with vector instructions)
    // makes what the heap happens to hold: the same pictures gave other bytes now and then.
    constexpr int kSmallSide = 64;
    if (std::min(codec.width, codec.height) < kSmallSide) av_opt_set_int(codec.priv_data, "mbtree", 0, 0);
  } else if (encoder == "libvpx") {
    // Fast rather than small: it is watched once.
    av_opt_set(codec.priv_data, "deadline", "realtime", 0);
    av_opt_set_int(codec.priv_data, "cpu-used", 8, 0);
    av_opt_set_int(codec.priv_data, "crf", std::clamp<int64_t>(crf - 13, 4, 63), 0);
    codec.bit_rate = 2'500'000;  // at the most
  } else if (encoder == "mpeg4") {
    codec.flags |= AV_CODEC_FLAG_QSCALE;
    codec.global_quality = static_cast<int>(FF_QP2LAMBDA * std::clamp<int64_t>((crf - 11) / 4, 2, 31));
  } else {
    const double pixels_hz = static_cast<double>(codec.width) * codec.height * codec.framerate.num;
    const double bits_per_pixel = 0.25 * std::exp2(static_cast<double>(23 - crf) / 6.0);
    codec.bit_rate = std::max<int64_t>(100'000, std::llround(pixels_hz * bits_per_pixel));
  }
}

// One thread and FFmpeg's bit-exact mode: the same input gives the same bytes.
void set_reproducible(AVCodecContext& codec) {
  codec.thread_count = 1;
  codec.flags |= AV_CODEC_FLAG_GLOBAL_HEADER | AV_CODEC_FLAG_BITEXACT;
}

// A null handle where FFmpeg was built without this encoder or the encoder does not take these options.
ffmpeg::CodecContext try_video_encoder(const std::string& name, const VideoWriterOptions& options) {
  const AVCodec* encoder = avcodec_find_encoder_by_name(name.c_str());
  if (encoder == nullptr) return nullptr;
  auto codec = ffmpeg::make_codec_context(encoder);
  codec->width = static_cast<int>(options.width_px);
  codec->height = static_cast<int>(options.height_px);
  codec->pix_fmt = AV_PIX_FMT_YUV420P;
  codec->time_base = {1, static_cast<int>(options.frame_rate_hz)};
  codec->framerate = {static_cast<int>(options.frame_rate_hz), 1};
  // A key frame a second and no frame out of order: a reader that wants one picture decodes few others.
  codec->gop_size = static_cast<int>(options.frame_rate_hz);
  codec->max_b_frames = 0;
  codec->color_range = AVCOL_RANGE_MPEG;
  codec->colorspace = AVCOL_SPC_SMPTE170M;
  codec->color_primaries = AVCOL_PRI_SMPTE170M;
  codec->color_trc = AVCOL_TRC_SMPTE170M;
  set_reproducible(*codec);
  set_quality(*codec, name, options.crf);
  if (avcodec_open2(codec.get(), encoder, nullptr) < 0) return nullptr;
  return codec;
}

}  // namespace

ffmpeg::CodecContext open_video_encoder(const std::string& file, const VideoWriterOptions& options) {
  std::vector<std::string> names(kVideoEncoders.begin(), kVideoEncoders.end());
  if (options.container == VideoContainer::webm) names = {"libvpx"};
  if (!options.video_encoder.empty()) names = {options.video_encoder};
  std::string tried;
  for (const std::string& name : names) {
    if (auto codec = try_video_encoder(name, options)) return codec;
    tried += (tried.empty() ? "" : ", ") + name;
  }
  throw MediaError(concat(file, ": no video encoder takes ", options.width_px, "x", options.height_px, " at ",
                          options.frame_rate_hz, " Hz; tried ", tried,
                          "; install an FFmpeg that was built with ",
                          options.container == VideoContainer::webm ? "libvpx" : "libx264"));
}

ffmpeg::CodecContext open_audio_encoder(const std::string& file, const VideoWriterOptions& options) {
  const bool is_opus = options.container != VideoContainer::mp4;
  const char* name = is_opus ? "Opus" : "AAC";
  const AVCodec* encoder =
      is_opus ? avcodec_find_encoder_by_name("libopus") : avcodec_find_encoder(AV_CODEC_ID_AAC);
  CAVMAE_CHECK_AS(MediaError, encoder != nullptr, file, ": this FFmpeg was built without an encoder of ",
                  name);
  auto codec = ffmpeg::make_codec_context(encoder);
  codec->sample_fmt = is_opus ? AV_SAMPLE_FMT_FLT : AV_SAMPLE_FMT_FLTP;
  codec->sample_rate = static_cast<int>(options.sample_rate_hz);
  av_channel_layout_default(&codec->ch_layout, 1);
  codec->time_base = {1, codec->sample_rate};
  // Four bits a sample leave nothing to be heard of the coding; more than this AAC does not take, and Opus
  // needs half.
  codec->bit_rate = is_opus ? 96'000 : std::min<int64_t>(4 * options.sample_rate_hz, 160'000);
  set_reproducible(*codec);
  const int result = avcodec_open2(codec.get(), encoder, nullptr);
  CAVMAE_CHECK_AS(MediaError, result >= 0, file, ": the encoder of ", name, " refuses ",
                  options.sample_rate_hz, " Hz: ", error_text(result),
                  is_opus ? "; 48000 does" : "; 16000, 44100 or 48000 do");
  return codec;
}

void encode(const std::string& file, Mp4Track& track, const AVFrame* frame) {
  int result = avcodec_send_frame(track.codec.get(), frame);
  CAVMAE_CHECK_AS(MediaError, result >= 0, file, ": cannot encode: ", error_text(result));
  while (true) {
    auto packet = ffmpeg::make_packet();
    result = avcodec_receive_packet(track.codec.get(), packet.get());
    if (result == AVERROR(EAGAIN) || result == AVERROR_EOF) return;
    CAVMAE_CHECK_AS(MediaError, result >= 0, file, ": cannot encode: ", error_text(result));
    track.packets.push_back(std::move(packet));
  }
}

namespace {

// Frees a growing memory buffer that was not taken out.
struct FreeBuffer {
  void operator()(AVIOContext* io) const {
    uint8_t* bytes = nullptr;
    avio_close_dyn_buf(io, &bytes);
    av_free(bytes);
  }
};
using MemoryFile = std::unique_ptr<AVIOContext, FreeBuffer>;

std::string take_bytes(MemoryFile io) {
  uint8_t* bytes = nullptr;
  const int size = avio_close_dyn_buf(io.release(), &bytes);
  const std::unique_ptr<uint8_t, ffmpeg::FreeByPointer<av_free>> owner(bytes);
  return std::string(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
}

void add_stream(const std::string& file, AVFormatContext& container, const Mp4Track& track) {
  AVStream* stream = avformat_new_stream(&container, nullptr);
  CAVMAE_CHECK_AS(MediaError, stream != nullptr, file, ": out of memory");
  stream->time_base = track.codec->time_base;
  if (track.codec->codec_type == AVMEDIA_TYPE_VIDEO) stream->avg_frame_rate = track.codec->framerate;
  const int result = avcodec_parameters_from_context(stream->codecpar, track.codec.get());
  CAVMAE_CHECK_AS(MediaError, result >= 0, file, ": cannot describe a stream: ", error_text(result));
}

}  // namespace

std::string mux(const std::string& file, VideoContainer kind, const std::vector<Mp4Track*>& tracks) {
  const std::string name = kind == VideoContainer::mp4    ? "mp4"
                           : kind == VideoContainer::webm ? "webm"
                                                          : "ogg";
  const std::string failed = concat(file, ": cannot make an .", name, " file: ");
  AVFormatContext* raw = nullptr;
  int result = avformat_alloc_output_context2(&raw, nullptr, name.c_str(), nullptr);
  CAVMAE_CHECK_AS(MediaError, result >= 0, failed, error_text(result));
  const ffmpeg::OutputContext container(raw);
  container->flags |= AVFMT_FLAG_BITEXACT;
  for (const Mp4Track* track : tracks) add_stream(file, *container, *track);

  AVIOContext* buffer = nullptr;
  result = avio_open_dyn_buf(&buffer);
  CAVMAE_CHECK_AS(MediaError, result >= 0, file, ": ", error_text(result));
  MemoryFile io(buffer);
  container->pb = buffer;
  result = avformat_write_header(container.get(), nullptr);
  CAVMAE_CHECK_AS(MediaError, result >= 0, failed, error_text(result));
  for (size_t i = 0; i < tracks.size(); ++i) {
    const AVStream* stream = container->streams[i];
    for (const auto& packet : tracks[i]->packets) {
      packet->stream_index = static_cast<int>(i);
      av_packet_rescale_ts(packet.get(), tracks[i]->codec->time_base, stream->time_base);
      result = av_interleaved_write_frame(container.get(), packet.get());
      CAVMAE_CHECK_AS(MediaError, result >= 0, failed, error_text(result));
    }
  }
  result = av_write_trailer(container.get());
  CAVMAE_CHECK_AS(MediaError, result >= 0, failed, error_text(result));
  container->pb = nullptr;
  return take_bytes(std::move(io));
}

}  // namespace cavmae
