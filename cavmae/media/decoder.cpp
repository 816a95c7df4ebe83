#include "cavmae/media/decoder.h"

#include <string_view>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/media/limits.h"

namespace cavmae {
namespace {

constexpr int kMaxErrorsInARow = 1000;  // then the rest of the stream is taken for lost

// Before the decoder takes memory by them.
void check_limits(const Demuxer& demuxer, const AVCodecParameters& stream) {
  if (int64_t{stream.width} * stream.height > kMaxPixels) demuxer.fail_of_size(stream.width, stream.height);
  if (stream.ch_layout.nb_channels > kMaxChannels)
    demuxer.fail(concat("has ", stream.ch_layout.nb_channels, " channels of sound; at most ", kMaxChannels,
                        " are read: mix them (ffmpeg -i FILE -ac 2 NEW), or it is damaged"));
  if (stream.sample_rate > kMaxSampleRateHz)
    demuxer.fail(concat("has ", stream.sample_rate, " samples of sound a second; at most ", kMaxSampleRateHz,
                        " are read: convert it (ffmpeg -i FILE -ar 48000 NEW), or it is damaged"));
}

// FFmpeg's own decoders of VP8 and VP9 leave out the alpha plane that WebM files may have beside the picture.
const AVCodec* decoder_of(const AVStream& stream) {
  const AVCodecID id = stream.codecpar->codec_id;
  const AVDictionaryEntry* alpha = av_dict_get(stream.metadata, "alpha_mode", nullptr, 0);
  const AVCodec* codec = nullptr;
  if (alpha != nullptr && std::string_view(alpha->value) == "1") {
    if (id == AV_CODEC_ID_VP8) codec = avcodec_find_decoder_by_name("libvpx");
    if (id == AV_CODEC_ID_VP9) codec = avcodec_find_decoder_by_name("libvpx-vp9");
  }
  return codec != nullptr ? codec : avcodec_find_decoder(id);
}

}  // namespace

Decoder::Decoder(Demuxer& demuxer, const AVStream& stream) : demuxer_(demuxer), stream_index_(stream.index) {
  const AVCodec* codec = decoder_of(stream);
  if (codec == nullptr)
    demuxer.fail(concat("is coded as ", avcodec_get_name(stream.codecpar->codec_id),
                        ", which this FFmpeg cannot decode"));
  check_limits(demuxer, *stream.codecpar);
  context_ = ffmpeg::make_codec_context(codec);
  int result = avcodec_parameters_to_context(context_.get(), stream.codecpar);
  context_->pkt_timebase = stream.time_base;
  context_->thread_count = 1;  // clips are decoded side by side instead
  context_->max_pixels = kMaxPixels;
  // The exact transform comes nearest to that of libjpeg, with whose pictures models are trained.
  if (codec->id == AV_CODEC_ID_MJPEG) context_->idct_algo = FF_IDCT_FAAN;
  // Half a picture is none; of a video's pictures the next one may be fine. Other decoders refuse what is
  // damaged anyway, and with this some refuse what they only do not know.
  if (demuxer.is_picture() && (codec->id == AV_CODEC_ID_MJPEG || codec->id == AV_CODEC_ID_JPEGLS))
    context_->err_recognition |= AV_EF_EXPLODE;
  if (result >= 0) result = avcodec_open2(context_.get(), codec, nullptr);
  if (result < 0) demuxer.fail(concat("cannot be decoded (", codec->name, "): ", ffmpeg::error_text(result)));
}

bool Decoder::next(AVFrame& frame) {
  for (int errors = 0; errors < kMaxErrorsInARow;) {
    const int result = avcodec_receive_frame(context_.get(), &frame);
    if (result >= 0) {
      ffmpeg::drop_unknown_colours(frame);
      return true;
    }
    if (result == AVERROR_EOF) return false;
    if (result == AVERROR(ENOMEM)) demuxer_.fail_of_memory();
    if (result == AVERROR(EAGAIN)) {
      if (draining_) return false;
      send_packet();
    } else {
      note_error(result);
      ++errors;
    }
  }
  return false;
}

void Decoder::note_error(int error) {
  last_error_ = error;
  ++num_errors_;
}

// The next packet of the stream, from where decoding may begin; false at the end.
bool Decoder::read_packet() {
  for (;;) {
    av_packet_unref(packet_.get());
    if (!demuxer_.read(*packet_)) return false;
    if (packet_->stream_index != stream_index_) continue;
    if ((packet_->flags & AV_PKT_FLAG_KEY) != 0) awaits_keyframe_ = false;
    if (!awaits_keyframe_) return true;
  }
}

void Decoder::send_packet() {
  if (!std::exchange(holds_packet_, false) && !read_packet()) {
    draining_ = true;
    avcodec_send_packet(context_.get(), nullptr);
    return;
  }
  if (observer_) observer_(*packet_);
  // A damaged packet is refused here; the next one may be fine.
  const int sent = avcodec_send_packet(context_.get(), packet_.get());
  if (sent == AVERROR(ENOMEM)) demuxer_.fail_of_memory();
  if (sent < 0 && sent != AVERROR(EAGAIN)) note_error(sent);
  av_packet_unref(packet_.get());
}

bool Decoder::pass_over(const std::function<bool(const AVPacket&)>& passes) {
  flush(ResumeAt::any_packet);
  do {
    if (!read_packet()) return false;
  } while (passes(*packet_));
  holds_packet_ = true;
  return true;
}

void Decoder::flush(ResumeAt resume) {
  avcodec_flush_buffers(context_.get());
  awaits_keyframe_ = resume == ResumeAt::keyframe;
  draining_ = false;
  holds_packet_ = false;
  last_error_ = 0;
}

}  // namespace cavmae
