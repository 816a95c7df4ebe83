#include "cavmae/media/stream_tail.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string_view>

#include "cavmae/media/file_end.h"
#include "cavmae/media/transport_stream.h"

namespace cavmae {
namespace {

constexpr size_t kSoundPackets = 6;
constexpr size_t kMostPackets = 1000;
constexpr size_t kMostBytes = size_t{64} << 20;

// Where nothing but the packets themselves tells that one lacks its end.
bool tells_by_decoding(std::string_view format) {
  constexpr std::array<std::string_view, 14> kFormats = {"mp3",       "aac",    "loas", "ac3",  "eac3",
                                                         "dts",       "flac",   "h264", "hevc", "m4v",
                                                         "mpegvideo", "mpegts", "mpeg", "nut"};
  return std::find(kFormats.begin(), kFormats.end(), format) != kFormats.end();
}

// Tags and other things behind the last frame are no frame.
bool begins_like_a_frame(const AVStream& stream, const AVPacket& packet) {
  const AVCodecID codec = stream.codecpar->codec_id;
  if (codec == AV_CODEC_ID_AC3 || codec == AV_CODEC_ID_EAC3)
    return packet.size >= 4 && packet.data[0] == 0x0b && packet.data[1] == 0x77;
  if (codec != AV_CODEC_ID_MP3 && codec != AV_CODEC_ID_MP2 && codec != AV_CODEC_ID_AAC) return true;
  return packet.size >= 4 && packet.data[0] == 0xff && (packet.data[1] & 0xe0) == 0xe0;
}

// Whether a frame of sound that says its own length is all there. Nothing where its codec has no such frames.
std::optional<bool> is_whole_frame(const AVStream& stream, const AVPacket& packet) {
  constexpr std::array<AVCodecID, 3> kSelfDelimiting = {AV_CODEC_ID_MP3, AV_CODEC_ID_MP2, AV_CODEC_ID_AAC};
  const AVCodecID codec = stream.codecpar->codec_id;
  if (codec == AV_CODEC_ID_AAC_LATM) {  // a mark of 11 bits, then the length of what follows
    if (packet.size < 3 || packet.data[0] != 0x56 || (packet.data[1] & 0xe0) != 0xe0) return std::nullopt;
    return packet.size >= 3 + ((packet.data[1] & 0x1f) << 8 | packet.data[2]);
  }
  if (std::find(kSelfDelimiting.begin(), kSelfDelimiting.end(), codec) == kSelfDelimiting.end())
    return std::nullopt;
  const std::unique_ptr<AVCodecParserContext, ffmpeg::FreeByPointer<av_parser_close>> parser(
      av_parser_init(codec));
  const AVCodec* decoder = avcodec_find_decoder(codec);
  if (!parser || decoder == nullptr) return std::nullopt;
  const ffmpeg::CodecContext context = ffmpeg::make_codec_context(decoder);
  uint8_t* frame = nullptr;
  int frame_bytes = 0;
  for (int at = 0; at < packet.size && frame_bytes == 0;) {
    const int used = av_parser_parse2(parser.get(), context.get(), &frame, &frame_bytes, packet.data + at,
                                      packet.size - at, AV_NOPTS_VALUE, AV_NOPTS_VALUE, 0);
    if (used <= 0 && frame_bytes == 0) break;
    at += used;
  }
  return frame_bytes > 0;
}

}  // namespace

void StreamTail::add(const AVPacket& packet) {
  const AVCodecParameters& parameters = *stream_.codecpar;
  const bool is_video = parameters.codec_type == AVMEDIA_TYPE_VIDEO;
  if (const int bits = av_get_exact_bits_per_sample(parameters.codec_id); bits > 0 && !is_video)
    num_samples_ += int64_t{8} * packet.size / bits / std::max(1, parameters.ch_layout.nb_channels);
  const bool begins_anew = is_video && (packet.flags & AV_PKT_FLAG_KEY) != 0;
  if (begins_anew || packets_.size() >= kMostPackets || bytes_ > kMostBytes) {
    packets_.clear();
    bytes_ = 0;
  }
  if (!is_video && packets_.size() >= kSoundPackets) {
    bytes_ -= static_cast<size_t>(packets_.front()->size);
    packets_.pop_front();
  }
  packets_.push_back(ffmpeg::make_packet());
  if (av_packet_ref(packets_.back().get(), &packet) < 0) throw std::bad_alloc();
  bytes_ += static_cast<size_t>(packet.size);
}

// A header that counts samples, where they are not compressed.
bool StreamTail::declares_more(const Demuxer& demuxer) const {
  const bool is_estimate = demuxer.context().duration_estimation_method == AVFMT_DURATION_FROM_BITRATE;
  if (is_estimate || stream_.duration <= 0 || stream_.codecpar->sample_rate <= 0) return false;
  const AVRational per_sample = {1, stream_.codecpar->sample_rate};
  const int64_t declared = av_rescale_q(stream_.duration, stream_.time_base, per_sample);
  const int64_t sample_bytes = std::max(1, stream_.codecpar->block_align);
  return declared > num_samples_ && declared < kUnfilledBytes / sample_bytes;
}

bool StreamTail::is_cut_off(const Demuxer& demuxer) const {
  if (packets_.empty()) return false;
  if (num_samples_ > 0) return declares_more(demuxer);
  const AVPacket& last = *packets_.back();
  if ((last.flags & AV_PKT_FLAG_CORRUPT) != 0) return true;
  const std::string_view format = demuxer.context().iformat->name;
  if (!tells_by_decoding(format) || !begins_like_a_frame(stream_, last)) return false;
  const bool is_video = stream_.codecpar->codec_type == AVMEDIA_TYPE_VIDEO;
  if (const auto whole = is_whole_frame(stream_, last)) return !*whole;
  if (stream_.codecpar->codec_id == AV_CODEC_ID_AC3 &&
      packets_.size() > 1)  // frames of one size, or two bytes more
    return last.size < packets_[packets_.size() - 2]->size - 2;
  if (is_video && format == "mpegts" && !last_transport_packet_is_full(demuxer.io(), stream_.id))
    return false;
  return last_packet_is_broken();
}

// Whether the last packet alone cannot be decoded.
bool StreamTail::last_packet_is_broken() const {
  const AVCodec* codec = avcodec_find_decoder(stream_.codecpar->codec_id);
  if (codec == nullptr) return false;
  const ffmpeg::CodecContext context = ffmpeg::make_codec_context(codec);
  if (avcodec_parameters_to_context(context.get(), stream_.codecpar) < 0) return false;
  context->pkt_timebase = stream_.time_base;
  context->thread_count = 1;
  context->err_recognition = AV_EF_CRCCHECK | AV_EF_BITSTREAM | AV_EF_BUFFER | AV_EF_EXPLODE;
  if (avcodec_open2(context.get(), codec, nullptr) < 0) return false;
  const ffmpeg::Frame frame = ffmpeg::make_frame();
  const auto is_error = [](int result) {
    return result < 0 && result != AVERROR(EAGAIN) && result != AVERROR_EOF;
  };
  bool broken = false, broken_before = false;
  for (const ffmpeg::Packet& packet : packets_) {
    broken_before = broken;
    int result = avcodec_send_packet(context.get(), packet.get());
    broken = is_error(result);
    while ((result = avcodec_receive_frame(context.get(), frame.get())) >= 0) {
    }
    broken = broken || is_error(result);
  }
  return broken && !broken_before;
}

}  // namespace cavmae
