#include "cavmae/media/demuxer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <new>
#include <string_view>

#include "cavmae/core/error.h"
#include "cavmae/core/time_limit.h"
#include "cavmae/media/audio_track.h"
#include "cavmae/media/declared_times.h"
#include "cavmae/media/file_end.h"
#include "cavmae/media/limits.h"
#include "cavmae/media/packet_scan.h"
#include "cavmae/media/programme.h"
#include "cavmae/media/unsupported.h"

namespace cavmae {
namespace {

constexpr double kRoundedSeconds = 0.002;
constexpr double kMaxPrimingSeconds = 0.2;  // no encoder needs more before its first sample

bool begins_like_wav(const MediaIo& io) {
  return io.holds(0, "RIFF") && io.holds(8, "WAVE");
}

// FFmpeg looks for compressed sound within the samples of a .wav, in up to 2,500 packets and by every format
// that it knows, which takes longer than all the rest: one small packet tells. Later ones had better be
// large.
void prepare_for_wav(AVDictionary** options) {
  av_dict_set(options, "max_probe_packets", "1", 0);
  av_dict_set(options, "max_size", "1024", 0);
}
void enlarge_wav_packets(AVFormatContext& context) {
  av_opt_set_int(context.priv_data, "max_size", 65536, 0);
}

// What FFmpeg would open but is no clip: text drawn as pictures, and lists that point to other files.
bool is_clip_format(std::string_view format) {
  constexpr std::array<std::string_view, 6> kRefused = {"tty", "hls", "concat", "dash", "sdp", "ffmetadata"};
  return std::find(kRefused.begin(), kRefused.end(), format) == kRefused.end();
}

bool is_picture_format(std::string_view format) {
  return format == "image2" || format.ends_with("_pipe");
}

// Where an Ogg file goes on as another one, FFmpeg gives its headers as if they were sound.
bool is_ogg_header(const AVFormatContext& context, const AVPacket& packet) {
  constexpr std::array<std::string_view, 5> kHeaders = {"OpusHead", "OpusTags", "\x01vorbis", "\x03vorbis",
                                                        "\x05vorbis"};
  if (std::string_view(context.iformat->name) != "ogg") return false;
  const std::string_view data(reinterpret_cast<const char*>(packet.data), static_cast<size_t>(packet.size));
  return std::any_of(kHeaders.begin(), kHeaders.end(),
                     [&](std::string_view header) { return data.starts_with(header); });
}

bool can_decode(const AVStream& stream) {
  return avcodec_find_decoder(stream.codecpar->codec_id) != nullptr;
}

// Whether there is a sound track that is more than declared.
bool has_sound(const AVFormatContext& context) {
  for (unsigned i = 0; i < context.nb_streams; ++i) {
    const AVStream& stream = *context.streams[i];
    if (stream.codecpar->codec_type == AVMEDIA_TYPE_AUDIO &&
        (stream.codecpar->sample_rate > 0 || !can_decode(stream)))
      return true;
  }
  return false;
}

}  // namespace

Demuxer::Demuxer(const MediaSource& source, std::optional<int64_t> audio_track, const MediaTimes* known)
    : source_(source), audio_track_(audio_track), io_(source) {
  ffmpeg::tame();
  open();
  if (is_picture()) return;
  if (known != nullptr) {
    times_ = *known;
  } else {
    find_times();
  }
  piece_.clear();
}

void Demuxer::find_times() {
  MediaTimes found;
  if (auto declared = declared_times(*this)) {
    found = std::move(*declared);
  } else {
    found = scan_packets(*this);
    only_.clear();
    restart();
  }
  const bool has_audio = found.audio.end_seconds > found.audio.start_seconds;
  const bool has_video = found.video.end_seconds > found.video.start_seconds || found.one_picture;
  if (found.one_picture && has_audio) found.video = found.audio;
  double origin = has_audio ? found.audio.start_seconds : found.video.start_seconds;
  if (has_audio && has_video && found.video.start_seconds < origin) {
    origin = found.video.start_seconds;
  } else if (has_audio && has_video) {
    const double sound = origin + found.priming_seconds;
    // Containers round timestamps to milliseconds.
    origin = found.video.start_seconds < sound + kRoundedSeconds ? found.video.start_seconds : sound;
  }
  // A little before 0 is the priming of an audio encoder, which is not shown.
  found.origin_seconds = origin < 0.0 && origin > -kMaxPrimingSeconds ? 0.0 : origin;
  for (StreamTimes* times : {&found.audio, &found.video}) {
    if (times->end_seconds <= times->start_seconds) continue;
    times->start_seconds = std::max(0.0, times->start_seconds - found.origin_seconds);
    times->end_seconds -= found.origin_seconds;
  }
  times_ = std::move(found);
}

// By the first bytes, and by the name's extension where these leave a doubt.
const AVInputFormat& Demuxer::find_format(AVIOContext& io) const {
  const AVInputFormat* format = nullptr;
  const int result = av_probe_input_buffer2(&io, &format, name().c_str(), nullptr, 0, 0);
  if (result < 0) fail_to_open(result);
  if (!is_clip_format(format->name))
    fail(concat("is not a media file (FFmpeg takes it for '", format->long_name, "')"));
  return *format;
}

void Demuxer::open() {
  ffmpeg::refusals() = {};
  AVIOContext* io = io_.begin();
  const bool is_wav = begins_like_wav(io_);
  const AVInputFormat* format = is_wav ? av_find_input_format("wav") : &find_format(*io);
  AVDictionary* options = nullptr;
  av_dict_set(&options, "protocol_whitelist", "none", 0);  // a clip never makes us read something else
  av_dict_set(&options, "pattern_type", "none", 0);        // '%' and '*' in a name are just letters
  if (is_wav) prepare_for_wav(&options);
  AVFormatContext* raw = avformat_alloc_context();
  if (raw == nullptr) throw std::bad_alloc();
  raw->pb = io;
  raw->interrupt_callback = io_.interrupt_callback();
  raw->max_streams = kMaxStreams;
  const int result = avformat_open_input(&raw, name().c_str(), format, &options);
  av_dict_free(&options);
  if (result < 0) fail_to_open(result);  // and `raw` is freed
  context_.reset(raw);
  if (is_picture())
    if (const std::string kind = misread_kind(io_.bytes()); !kind.empty())
      fail(concat(kind, ", ", cannot_read()));
  // A picture's stream is known at once; looking closer would decode it a second time.
  if (!is_picture()) avformat_find_stream_info(context_.get(), nullptr);
  if (is_wav) enlarge_wav_packets(*context_);
  for (unsigned i = 0; i < context_->nb_streams; ++i)
    ffmpeg::drop_unknown_colours(*context_->streams[i]->codecpar);
  io_.throw_if_failed();
  choose_streams();
  if (audio_ != nullptr || video_ != nullptr) return;
  fail_if_too_large();
  const std::string kind = unsupported_kind(io_.bytes());
  if (!kind.empty()) fail(concat(kind, ", ", cannot_read()));
  fail(!audio_problem_.empty()   ? audio_problem_
       : !video_problem_.empty() ? video_problem_
                                 : concat("holds neither audio nor video that FFmpeg can decode (format ",
                                          context_->iformat->name, ")"));
}

void Demuxer::choose_streams() {
  choose_video();
  choose_audio();
}

// Of several programmes, one with sound; of these, the default stream; of these, the largest pictures.
void Demuxer::choose_video() {
  video_ = nullptr;
  video_problem_.clear();
  const auto with_sound = [&](const AVStream& video) {
    for (unsigned i = 0; i < context_->nb_streams; ++i) {
      const AVStream& stream = *context_->streams[i];
      if (stream.codecpar->codec_type == AVMEDIA_TYPE_AUDIO && can_decode(stream) &&
          share_programme(*context_, video, stream))
        return true;
    }
    return false;
  };
  int64_t best_score = -1;
  for (unsigned i = 0; i < context_->nb_streams; ++i) {
    AVStream* stream = context_->streams[i];
    if (stream->codecpar->codec_type != AVMEDIA_TYPE_VIDEO) continue;
    if ((stream->disposition & (AV_DISPOSITION_ATTACHED_PIC | AV_DISPOSITION_TIMED_THUMBNAILS)) != 0)
      continue;
    if (!can_decode(*stream)) {
      video_problem_ = concat("has pictures that are coded as ", ffmpeg::codec_name(*stream),
                              ", which this FFmpeg cannot decode");
      continue;
    }
    const int64_t area = int64_t{stream->codecpar->width} * stream->codecpar->height;
    // FFmpeg may have met a packet and not learnt the size from it: decoding does.
    if (area <= 0 && !is_picture() && stream->start_time == AV_NOPTS_VALUE) continue;
    const int64_t score = area +
                          ((stream->disposition & AV_DISPOSITION_DEFAULT) != 0 ? int64_t{1} << 40 : 0) +
                          (with_sound(*stream) ? int64_t{1} << 41 : 0);
    if (score > best_score) {
      best_score = score;
      video_ = stream;
    }
  }
  if (video_ != nullptr) video_problem_.clear();
}

// A track that is declared and holds no sound, or belongs to another programme, is no problem.
void Demuxer::choose_audio() {
  audio_ = choose_audio_stream(*context_, audio_track_, video_);
  audio_problem_.clear();
  if (audio_ != nullptr || !has_sound(*context_)) return;
  if (audio_track_ || choose_audio_stream(*context_, std::nullopt, nullptr) == nullptr)
    audio_problem_ = why_no_audio(*context_, audio_track_);
}

bool Demuxer::is_picture() const {
  return is_picture_format(context_->iformat->name);
}

AVStream& Demuxer::require_audio_stream() const {
  if (audio_ == nullptr) fail(audio_problem_.empty() ? "has no audio" : audio_problem_);
  return *audio_;
}

AVStream& Demuxer::require_video_stream() const {
  if (video_ == nullptr) fail_if_too_large();
  if (video_ == nullptr) fail(video_problem_.empty() ? "has no video stream" : video_problem_);
  return *video_;
}

void Demuxer::read_only(std::initializer_list<const AVStream*> streams) {
  only_.clear();
  for (const AVStream* stream : streams)
    if (stream != nullptr) only_.push_back(stream->index);
  discard_others();
}

void Demuxer::discard_others() {
  for (unsigned i = 0; i < context_->nb_streams && !only_.empty(); ++i)
    context_->streams[i]->discard = std::find(only_.begin(), only_.end(), static_cast<int>(i)) != only_.end()
                                        ? AVDISCARD_DEFAULT
                                        : AVDISCARD_ALL;
}

bool Demuxer::is_cut_off() const {
  return times_.cut_off || ends_early(io_, context_->iformat->name);
}

size_t Demuxer::piece_at(int64_t position) const {
  const auto after =
      std::upper_bound(times_.pieces.begin(), times_.pieces.end(), position,
                       [](int64_t value, const ClockPiece& piece) { return value < piece.position_bytes; });
  return static_cast<size_t>(std::max<std::ptrdiff_t>(1, after - times_.pieces.begin()) - 1);
}

bool Demuxer::read(AVPacket& packet) {
  do {
    av_packet_unref(&packet);
    TimeLimit::check(name());
    if (av_read_frame(context_.get(), &packet) < 0) {
      io_.throw_if_failed();
      return false;
    }
  } while (is_ogg_header(*context_, packet));
  if (times_.pieces.empty()) return true;
  const auto index = static_cast<size_t>(packet.stream_index);
  if (piece_.size() <= index) piece_.resize(index + 1, 0);
  // A packet that does not begin where the container says so follows one that does.
  if (packet.pos >= 0) piece_[index] = piece_at(packet.pos);
  const AVRational time_base = context_->streams[index]->time_base;
  const auto moved = std::llround(times_.pieces[piece_[index]].offset_seconds / av_q2d(time_base));
  if (packet.pts != AV_NOPTS_VALUE) packet.pts += moved;
  if (packet.dts != AV_NOPTS_VALUE) packet.dts += moved;
  return true;
}

// Where the clock jumps, its times are no way to a place: the positions of the keyframes are.
bool Demuxer::seek_to_keyframe(double seconds) {
  if (std::string_view(context_->iformat->name) == "matroska,webm") return false;  // no byte is a way into it
  const auto after =
      std::upper_bound(times_.keyframes.begin(), times_.keyframes.end(), seconds,
                       [](double value, const SeekPoint& point) { return value < point.seconds; });
  if (after == times_.keyframes.begin()) return false;
  const int64_t position = std::prev(after)->position_bytes;
  piece_.assign(context_->nb_streams, piece_at(position));
  return av_seek_frame(context_.get(), -1, position, AVSEEK_FLAG_BYTE) >= 0;
}

bool Demuxer::seek(const AVStream& stream, int64_t timestamp) {
  if (!times_.pieces.empty())
    return seek_to_keyframe(static_cast<double>(timestamp) * av_q2d(stream.time_base));
  if (av_seek_frame(context_.get(), stream.index, timestamp, AVSEEK_FLAG_BACKWARD) >= 0) return true;
  // Matroska indexes the pictures alone.
  if (video_ == nullptr || video_->index == stream.index) return false;
  const int64_t moved = av_rescale_q(timestamp, stream.time_base, video_->time_base);
  return av_seek_frame(context_.get(), video_->index, moved, AVSEEK_FLAG_BACKWARD) >= 0;
}

void Demuxer::restart() {
  context_.reset();
  piece_.clear();
  open();
  discard_others();
}

}  // namespace cavmae
