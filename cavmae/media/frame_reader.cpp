#include "cavmae/media/frame_reader.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/media/avif_alpha.h"
#include "cavmae/media/decoder.h"
#include "cavmae/media/demuxer.h"
#include "cavmae/media/image_converter.h"
#include "cavmae/media/jpeg_reader.h"
#include "cavmae/media/media_decoding.h"
#include "cavmae/media/media_reader.h"
#include "cavmae/media/media_sequence.h"
#include "cavmae/media/orientation.h"
#include "cavmae/media/sequence_of.h"
#include "cavmae/picture/resize.h"

namespace cavmae {
namespace {

constexpr double kRoundingSeconds = 0.001;  // containers round timestamps to milliseconds
constexpr double kBlindSeekSeconds = 1.0;   // without an index: a first seek shows whether there is one
constexpr double kFarSeekSeconds = 10.0;    // without an index: seek over more than this
// Pictures that may lack at the end before a file counts as damaged.
constexpr double kMissingVideoSeconds = 0.5;

class FrameReader {
 public:
  FrameReader(const MediaSource& source, FrameStats& stats, const MediaChoice& choice,
              const MediaTimes* times)
      : stats_(stats),
        choice_(choice),
        demuxer_(source, choice.audio_track, times),
        stream_index_(demuxer_.require_video_stream().index),
        decoder_(demuxer_, stream()),
        orientation_(stored_orientation(source)),
        avif_alpha_(read_avif_alpha(*source.open(), source.name())) {
    if (avif_alpha_) avif_alpha_->opacity = turned(avif_alpha_->opacity, orientation_);
    demuxer_.read_only(stream());
    decoder_.on_packet([this](const AVPacket& packet) { watch_packet(packet); });
  }

  // Times come in ascending order.
  Picture picture_at(double seconds);

 private:
  // A picture and when it appears, in the stream's time base.
  struct Shown {
    ffmpeg::Frame frame = ffmpeg::make_frame();
    int64_t timestamp = 0;
    bool empty = true;
  };

  Orientation stored_orientation(const MediaSource& source) const {
    if (demuxer_.is_picture()) return choice_.exif ? exif_orientation(*source.open()) : Orientation{};
    return avif_orientation(*source.open()).value_or(orientation_of(stream()));
  }
  Orientation orientation_of_frame(const AVFrame& frame) const;
  const AVStream& stream() const { return *demuxer_.context().streams[stream_index_]; }
  int64_t to_timestamp(double seconds) const;
  void watch_packet(const AVPacket& packet);
  std::optional<int64_t> stamp(const AVFrame& frame);
  void decode_pending();
  void advance(int64_t target);
  bool seeking_pays(int64_t target);
  void seek_before(int64_t target);
  void check_not_cut_off(double seconds) const;

  FrameStats& stats_;
  MediaChoice choice_;
  Demuxer demuxer_;
  int stream_index_;
  Decoder decoder_;
  Orientation orientation_;
  std::optional<AvifAlpha> avif_alpha_;
  ImageConverter converter_;

  Shown current_, pending_;  // the last one at or before the target, and the one after it
  bool ended_ = false, sought_blindly_ = false;
  bool at_start_ = true;    // decoding began at the file's start, not after a seek
  bool lacks_pts_ = false;  // packets say when they are decoded, not when they are shown
  int64_t target_ = 0;
  std::optional<int64_t> last_stamp_;    // of the picture decoded last
  int64_t delay_ = 0;                    // of pictures without a time of their own
  std::optional<int64_t> first_packet_;  // since the start or the last seek
  std::optional<int64_t> last_packet_;   // timestamp in decoding order
  std::optional<int64_t> best_packet_;   // the latest picture up to the target whose packet was decoded
  int64_t latest_packet_ = INT64_MIN;    // the latest picture of the file that a packet was seen of
  Picture converted_;                    // of current_
};

// A picture that is stamped a little late still counts, but no more than a quarter of a picture late.
int64_t FrameReader::to_timestamp(double seconds) const {
  const AVRational rate = stream().avg_frame_rate;
  const double frame_seconds = rate.num > 0 && rate.den > 0 ? 1.0 / av_q2d(rate) : 1.0;
  const double shown = seconds + demuxer_.origin_seconds() + std::min(kRoundingSeconds, frame_seconds / 4);
  return static_cast<int64_t>(std::floor(shown / av_q2d(stream().time_base)));
}

// Pictures that no other refers to need no decoding when a later one, already decoded, still lies at or
// before the target: they cannot be the answer.
void FrameReader::watch_packet(const AVPacket& packet) {
  ++stats_.packets;
  const bool superseded = packet.pts != AV_NOPTS_VALUE && best_packet_ && packet.pts < *best_packet_;
  decoder_.context().skip_frame = superseded && !lacks_pts_ ? AVDISCARD_NONREF : AVDISCARD_DEFAULT;
  if (packet.pts != AV_NOPTS_VALUE && packet.pts <= target_)
    best_packet_ = std::max(best_packet_.value_or(packet.pts), packet.pts);
  const int64_t order = packet.dts != AV_NOPTS_VALUE ? packet.dts : packet.pts;
  if (order == AV_NOPTS_VALUE) return;
  if (!last_packet_) {
    first_packet_ = order;
    lacks_pts_ = packet.pts == AV_NOPTS_VALUE;
  }
  last_packet_ = order;
  latest_packet_ = std::max(latest_packet_, packet.pts != AV_NOPTS_VALUE ? packet.pts : order);
}

// When a decoded picture appears; nothing when that is not known.
std::optional<int64_t> FrameReader::stamp(const AVFrame& frame) {
  const AVRational rate = av_inv_q(stream().avg_frame_rate);
  const int64_t ticks = rate.num > 0 ? std::max<int64_t>(1, av_rescale_q(1, rate, stream().time_base)) : 1;
  std::optional<int64_t> shown;
  if (frame.best_effort_timestamp != AV_NOPTS_VALUE) shown = frame.best_effort_timestamp;
  if (lacks_pts_ && shown && first_packet_) {
    // AVI knows decoding times alone: its pictures seem late by the decoder's delay, which the first one
    // shows.
    if (at_start_ && !last_stamp_) delay_ = *shown - *first_packet_;
    *shown -= delay_;
  }
  if (!shown && last_stamp_) shown = *last_stamp_ + ticks;
  if (!shown && at_start_) shown = to_timestamp(0.0);
  if (shown) last_stamp_ = shown;
  return shown;
}

void FrameReader::decode_pending() {
  while (decoder_.next(*pending_.frame)) {
    ++stats_.decoded;
    const std::optional<int64_t> shown = stamp(*pending_.frame);
    if (!shown) continue;
    pending_.timestamp = *shown;
    pending_.empty = false;
    return;
  }
  ended_ = true;
}

// Decodes until the picture after the target is known, or the end.
void FrameReader::advance(int64_t target) {
  while (true) {
    if (pending_.empty && !ended_) decode_pending();
    if (pending_.empty || pending_.timestamp > target) return;
    std::swap(current_, pending_);
    pending_.empty = true;
    converted_ = Picture();
  }
}

bool FrameReader::seeking_pays(int64_t target) {
  const std::string_view format = demuxer_.context().iformat->name;
  // MPEG program streams guess the times after a seek.
  if (ended_ || demuxer_.is_picture() || format == "mpeg") return false;
  // AVI's delay shows at the start alone; see stamp().
  if (format == "avi" && !last_packet_ && pending_.empty) decode_pending();
  AVStream* stream = demuxer_.context().streams[stream_index_];
  if (avformat_index_get_entries_count(stream) > 1) {
    const int index = av_index_search_timestamp(stream, target, AVSEEK_FLAG_BACKWARD);
    if (index <= 0) return false;
    const int64_t keyframe = avformat_index_get_entry(stream, index)->timestamp;
    return !last_packet_ || keyframe > *last_packet_;
  }
  const int64_t gap = target - last_packet_.value_or(to_timestamp(0.0));
  const double gap_seconds = static_cast<double>(gap) * av_q2d(stream->time_base);
  if (gap_seconds <= kBlindSeekSeconds) return false;
  return !std::exchange(sought_blindly_, true) || gap_seconds > kFarSeekSeconds;
}

// Moves to a place from which decoding reaches the picture shown at `target`. An index may name a keyframe
// that is shown only after the target, or one that does not decode: then one further back is tried.
void FrameReader::seek_before(int64_t target) {
  const int64_t second = std::max<int64_t>(1, std::llround(1.0 / av_q2d(stream().time_base)));
  const int64_t start = to_timestamp(0.0);
  for (int64_t back = 0;; back = back == 0 ? second : back * 4) {
    const int64_t timestamp = std::max(start, target - back);
    ++stats_.seeks;
    at_start_ = !demuxer_.seek(stream(), timestamp) || (timestamp == start && back > 0);
    if (at_start_) demuxer_.restart();
    decoder_.flush(at_start_ ? ResumeAt::any_packet : ResumeAt::keyframe);
    current_.empty = pending_.empty = true;
    converted_ = Picture();
    ended_ = false;
    last_packet_.reset();
    best_packet_.reset();
    last_stamp_.reset();
    decode_pending();
    if (!pending_.empty && pending_.timestamp <= target) return;
    if (timestamp == start) return;
  }
}

Picture FrameReader::picture_at(double seconds) {
  target_ = to_timestamp(seconds);
  const bool answered = !pending_.empty && pending_.timestamp > target_;
  if (!answered && seeking_pays(target_)) seek_before(target_);
  advance(target_);
  if (pending_.empty && ended_) check_not_cut_off(seconds);
  if (current_.empty) {  // the first picture comes after the time asked for
    if (pending_.empty) {
      demuxer_.fail_if_too_large();
      demuxer_.fail_to_decode(decoder_.last_error());
    }
    std::swap(current_, pending_);
    converted_ = Picture();
  }
  if (!converted_.is_there()) {
    ++stats_.converted;
    try {
      converted_ = converter_.convert(*current_.frame, orientation_of_frame(*current_.frame));
      if (avif_alpha_) converted_ = on_white(converted_, *avif_alpha_);
    } catch (const MediaError& error) {
      demuxer_.fail(error.what());
    }
  }
  return converted_;
}

// What FFmpeg puts on a JPEG's frame is its EXIF orientation.
Orientation FrameReader::orientation_of_frame(const AVFrame& frame) const {
  const bool from_exif = demuxer_.is_picture() || stream().codecpar->codec_id == AV_CODEC_ID_MJPEG;
  return from_exif ? orientation_ : orientation_of(frame, orientation_);
}

// The last picture stays, however long, but not where the file had more of them: its end is missing, or their
// packets could not be decoded.
void FrameReader::check_not_cut_off(double seconds) const {
  if (demuxer_.is_picture() || current_.empty) return;
  const double tick = av_q2d(stream().time_base);
  const double last = static_cast<double>(current_.timestamp) * tick - demuxer_.origin_seconds();
  const double latest = static_cast<double>(latest_packet_) * tick - demuxer_.origin_seconds();
  const AVRational rate = stream().avg_frame_rate;
  const double frame_seconds = rate.num > 0 && rate.den > 0 ? 1.0 / av_q2d(rate) : 0.0;
  const double end = last + std::max(kMissingVideoSeconds, 2 * frame_seconds);
  if (seconds > end && (latest > end || demuxer_.is_cut_off()))
    demuxer_.fail(concat("is cut off or damaged: its pictures end at ", last, " s and one of ", seconds,
                         " s was asked for; copy or download it again"));
}

}  // namespace

std::vector<Picture> read_frames(const MediaSource& source, const std::vector<double>& times_seconds,
                                 FrameStats& stats, const MediaChoice& choice, const MediaTimes* times) {
  const bool valid =
      std::is_sorted(times_seconds.begin(), times_seconds.end()) &&
      std::all_of(times_seconds.begin(), times_seconds.end(), [](double t) { return t >= 0.0 && t < 1e7; });
  CAVMAE_CHECK(valid, "read_frames: the times must ascend from 0 or more seconds");
  FrameReader reader(source, stats, choice, times);
  std::vector<Picture> pictures;
  for (const double seconds : times_seconds) pictures.push_back(reader.picture_at(seconds));
  return pictures;
}

std::vector<Picture> read_frames(const MediaSource& source, const std::vector<double>& times_seconds,
                                 const MediaChoice& choice, const MediaTimes* times) {
  FrameStats stats;
  return read_frames(source, times_seconds, stats, choice, times);
}

struct FrameSequence::State {
  MediaSource source;
  MediaChoice choice;
  std::optional<MediaTimes> times = std::nullopt;
  double last_seconds = 0.0;
  FrameStats stats = {};
  SequenceOf<FrameReader> readers = {};
};

FrameSequence::FrameSequence(const MediaSource& source, const MediaChoice& choice, const MediaTimes* times)
    : state_(new State{.source = source, .choice = choice}) {
  if (times != nullptr) state_->times = *times;
}

FrameSequence::~FrameSequence() = default;

Picture FrameSequence::at(double seconds) {
  State& s = *state_;
  CAVMAE_CHECK(seconds >= s.last_seconds && seconds < 1e7, "FrameSequence: the times must ascend");
  s.last_seconds = seconds;
  const MediaTimes* times = s.times ? &*s.times : nullptr;
  return s.readers.read([&] { return std::make_unique<FrameReader>(s.source, s.stats, s.choice, times); },
                        [&](FrameReader& reader) { return reader.picture_at(seconds); });
}

Picture read_image(const MediaSource& source, const MediaChoice& choice) {
  const auto bytes = source.open();
  if (auto picture = read_jpeg(*bytes, source.name()))
    return choice.exif ? turned(*picture, exif_orientation(*bytes)) : std::move(*picture);
  return read_frames(source, {0.0}, choice).front();
}

std::vector<Picture> read_squares(const MediaSource& source, const std::vector<double>& times_seconds,
                                  int64_t size_px, const MediaChoice& choice, const MediaTimes* times) {
  if (const MediaDecoding* elsewhere = source.decoding())
    return elsewhere->squares(times_seconds, size_px, choice);
  return squares_of(read_frames(source, times_seconds, choice, times), size_px);
}

Picture read_square(const MediaSource& source, int64_t size_px, const MediaChoice& choice) {
  if (const MediaDecoding* elsewhere = source.decoding()) return elsewhere->square(size_px, choice);
  return resize_and_crop(read_image(source, choice), size_px);
}

}  // namespace cavmae
