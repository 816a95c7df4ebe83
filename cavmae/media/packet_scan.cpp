#include "cavmae/media/packet_scan.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "cavmae/media/file_end.h"
#include "cavmae/media/stream_tail.h"

namespace cavmae {
namespace {

constexpr double kBackSeconds = 0.5;      // a clock that goes back by more begins again
constexpr double kForwardSeconds = 10.0;  // one that goes on by more may have jumped
constexpr double kSlideSeconds = 1.0;     // pictures that stay longer are slides
constexpr double kKeyframeSeconds = 1.0;  // between two that are kept
constexpr size_t kMostKeyframes = 100'000;
constexpr size_t kMostRuns = 5'000;  // a clock that jumps more often is none

// A stretch of a stream whose clock does not jump.
struct ClockRun {
  int64_t before_bytes = 0;  // the last packet before the run lies here
  int64_t first_bytes = 0, last_bytes = 0;
  double start = INFINITY, end = -INFINITY;  // shown, in seconds of the stream's clock
  bool by_jump_forward = false;
};

// The packets of one stream as they come in.
class StreamScan {
 public:
  StreamScan(const AVStream& stream, bool jumps_forward)
      : stream_(stream), jumps_forward_(jumps_forward), tail_(stream) {}

  void add(const AVPacket& packet) {
    const double tick = av_q2d(stream_.time_base);
    const int64_t stamp = packet.dts != AV_NOPTS_VALUE ? packet.dts : packet.pts;
    if (packet.pos >= 0) last_position_ = packet.pos;
    const double length = length_of(packet);
    counted_seconds_ += length;
    last_length_ = length;
    ++num_packets_;
    tail_.add(packet);
    if (stamp == AV_NOPTS_VALUE) return;
    const double order = static_cast<double>(stamp) * tick;
    const double shown = packet.pts != AV_NOPTS_VALUE ? static_cast<double>(packet.pts) * tick : order;
    begin_run_if_jumped(order);
    if (num_packets_ == 1) {
      skipped_seconds_ = skipped_seconds(packet);
      if (skipped_seconds_ > 0.0) heard_from_ = shown + skipped_seconds_;
    }
    ClockRun& run = runs_.back();
    run.last_bytes = last_position_;
    run.start = std::min(run.start, runs_.size() == 1 ? std::max(shown, heard_from_) : shown);
    run.end = std::max(run.end, shown + length);
    latest_shown_ = std::max(latest_shown_, shown);
    last_order_ = order;
    next_order_ = order + length;
    note_keyframe(packet, shown);
  }

  const AVStream& stream() const { return stream_; }
  const StreamTail& tail() const { return tail_; }
  std::vector<ClockRun>& runs() { return runs_; }
  const std::vector<SeekPoint>& keyframes() const { return keyframes_; }
  int64_t num_packets() const { return num_packets_; }
  bool drops_priming() const { return skipped_seconds_ > 0.0 || stream_.codecpar->initial_padding > 0; }

  // Streams without any timestamp (raw H.264) are as long as their pictures together. A last picture whose
  // length is not told, or guessed from a frame rate that slides have not, stays as long as the others on
  // average.
  void finish() {
    if (num_packets_ == 0) return;
    if (runs_.empty()) {
      runs_.push_back({.start = 0.0, .end = counted_seconds_});
    } else if (runs_.size() == 1 && num_packets_ > 1) {
      ClockRun& run = runs_.back();
      const double typical = (latest_shown_ - run.start) / static_cast<double>(num_packets_ - 1);
      if (last_length_ <= 0.0 || typical > kSlideSeconds)
        run.end = std::max(run.end, latest_shown_ + typical);
    }
  }

 private:
  double length_of(const AVPacket& packet) const {
    AVCodecParameters& parameters = *stream_.codecpar;
    // FFmpeg ends the last packet of an Ogg file where its page says; where that is before the packet begins,
    // it wraps the length to 32 bits, 149 hours at 8 kHz.
    const bool counts_samples = parameters.codec_type == AVMEDIA_TYPE_AUDIO && stream_.time_base.num == 1 &&
                                stream_.time_base.den == parameters.sample_rate;
    if (counts_samples && packet.duration > INT32_MAX) return 0.0;
    if (packet.duration > 0) return static_cast<double>(packet.duration) * av_q2d(stream_.time_base);
    if (parameters.codec_type == AVMEDIA_TYPE_AUDIO && parameters.sample_rate > 0)
      return static_cast<double>(av_get_audio_frame_duration2(&parameters, packet.size)) /
             parameters.sample_rate;
    return 0.0;
  }

  // What the decoder drops from the first packet on: an encoder's priming, which may be longer than the
  // packet.
  double skipped_seconds(const AVPacket& packet) const {
    size_t size = 0;
    const uint8_t* data = av_packet_get_side_data(&packet, AV_PKT_DATA_SKIP_SAMPLES, &size);
    if (data == nullptr || size < 4 || stream_.codecpar->sample_rate <= 0) return 0.0;
    const uint32_t samples = data[0] | data[1] << 8 | data[2] << 16 | uint32_t{data[3]} << 24;
    return static_cast<double>(samples) / stream_.codecpar->sample_rate;
  }

  void begin_run_if_jumped(double order) {
    // Where clocks are not known to jump, one that begins again goes back to its start; pictures in Matroska
    // may come in another order than they are shown.
    const bool back = last_order_ && order < *last_order_ - kBackSeconds &&
                      (jumps_forward_ || order < runs_.back().start + kBackSeconds);
    const bool forward = last_order_ && jumps_forward_ && order > next_order_ + kForwardSeconds;
    if (!runs_.empty() && ((!back && !forward) || runs_.size() >= kMostRuns)) return;
    ClockRun run{.first_bytes = last_position_, .by_jump_forward = forward};
    if (!runs_.empty()) run.before_bytes = runs_.back().last_bytes;
    runs_.push_back(run);
    wants_keyframe_ = true;
  }

  void note_keyframe(const AVPacket& packet, double shown) {
    if ((packet.flags & AV_PKT_FLAG_KEY) == 0 || packet.pos < 0 || keyframes_.size() >= kMostKeyframes)
      return;
    if (!wants_keyframe_ && std::abs(shown - keyframes_.back().seconds) < kKeyframeSeconds) return;
    wants_keyframe_ = false;
    keyframes_.push_back({.position_bytes = packet.pos, .seconds = shown});
  }

  const AVStream& stream_;
  bool jumps_forward_;
  StreamTail tail_;
  int64_t num_packets_ = 0;
  int64_t last_position_ = 0;
  double counted_seconds_ = 0.0, last_length_ = 0.0, skipped_seconds_ = 0.0;
  double heard_from_ = -INFINITY;  // the end of what is dropped
  std::optional<double> last_order_;
  double next_order_ = 0.0, latest_shown_ = -INFINITY;
  std::vector<ClockRun> runs_;
  std::vector<SeekPoint> keyframes_;
  bool wants_keyframe_ = true;  // the first of a run
};

// A gap in one stream is no jump of the clock when the other stream goes on meanwhile.
void join_gaps(std::vector<ClockRun>& runs, const std::vector<ClockRun>& others) {
  for (size_t i = 1; i < runs.size();) {
    const auto goes_on = [&](const ClockRun& other) {
      return other.first_bytes <= runs[i].before_bytes && other.last_bytes >= runs[i].first_bytes;
    };
    if (runs[i].by_jump_forward && std::any_of(others.begin(), others.end(), goes_on)) {
      runs[i - 1].last_bytes = runs[i].last_bytes;
      runs[i - 1].end = std::max(runs[i - 1].end, runs[i].end);
      runs.erase(runs.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      ++i;
    }
  }
}

// Where new pieces begin: each stream's runs do so a little later than the piece itself, which lies between
// two packets of every stream.
std::vector<int64_t> piece_positions(const std::vector<StreamScan*>& streams) {
  std::vector<ClockRun> jumps;
  for (StreamScan* stream : streams)
    if (!stream->runs().empty()) jumps.insert(jumps.end(), stream->runs().begin() + 1, stream->runs().end());
  std::sort(jumps.begin(), jumps.end(),
            [](const ClockRun& a, const ClockRun& b) { return a.first_bytes < b.first_bytes; });
  std::vector<int64_t> positions = {0};
  for (const ClockRun& jump : jumps)
    if (positions.size() == 1 || jump.before_bytes >= positions.back()) positions.push_back(jump.first_bytes);
  return positions;
}

struct Span {
  double start = INFINITY, end = -INFINITY;
  bool empty() const { return start > end; }
  void add(double from, double to) {
    start = std::min(start, from);
    end = std::max(end, to);
  }
};

// A piece begins where the pictures of the one before end, as FFmpeg joins them; but no stream may go back by
// more than a little, and what has only sound follows the sound.
template <class PieceOf>
std::vector<double> offsets_of_pieces(const std::vector<StreamScan*>& streams, size_t num_pieces,
                                      const PieceOf& piece_of) {
  constexpr double kOverlapSeconds = 0.5;
  std::vector<std::vector<Span>> spans(streams.size(), std::vector<Span>(num_pieces));
  for (size_t s = 0; s < streams.size(); ++s)
    for (const ClockRun& run : streams[s]->runs())
      spans[s][piece_of(run.first_bytes)].add(run.start, run.end);
  std::vector<double> offsets(num_pieces, 0.0);
  std::vector<double> ends(streams.size(), -INFINITY);  // of each stream so far, on the clock that results
  for (size_t k = 0; k < num_pieces; ++k) {
    double offset = -INFINITY, start = INFINITY, end = -INFINITY;
    const auto is_video = [&](size_t s) {
      return streams[s]->stream().codecpar->codec_type == AVMEDIA_TYPE_VIDEO;
    };
    bool pictures_follow = false;
    for (size_t s = 0; s < streams.size(); ++s)
      pictures_follow = pictures_follow || (is_video(s) && !spans[s][k].empty() && std::isfinite(ends[s]));
    for (size_t s = 0; s < streams.size(); ++s) {
      end = std::max(end, ends[s]);
      if (spans[s][k].empty()) continue;
      start = std::min(start, spans[s][k].start);
      const double slack = pictures_follow && !is_video(s) ? kOverlapSeconds : 0.0;
      offset = std::max(offset, ends[s] - spans[s][k].start - slack);
    }
    const bool follows = std::isfinite(offset);  // on a stream that it shares with those before
    if (!std::isfinite(start)) {
      offset = k > 0 ? offsets[k - 1] : 0.0;
    } else if (!follows) {
      offset = std::isfinite(end) ? end - start : 0.0;
    }
    offsets[k] = offset;
    for (size_t s = 0; s < streams.size(); ++s)
      if (!spans[s][k].empty()) ends[s] = spans[s][k].end + offset;
  }
  return offsets;
}

// Puts the runs one after another and gives each stream's span on the clock that results.
std::vector<Span> join_pieces(const std::vector<StreamScan*>& streams, MediaTimes& times) {
  const std::vector<int64_t> positions = piece_positions(streams);
  const auto piece_of = [&](int64_t position) {
    return std::upper_bound(positions.begin() + 1, positions.end(), position) - positions.begin() - 1;
  };
  const std::vector<double> offsets = offsets_of_pieces(streams, positions.size(), piece_of);
  std::vector<Span> spans;
  for (StreamScan* stream : streams) {
    Span span;
    for (const ClockRun& run : stream->runs()) {
      const double offset = offsets[piece_of(run.first_bytes)];
      span.add(run.start + offset, run.end + offset);
    }
    spans.push_back(span);
  }
  if (positions.size() < 2) return spans;
  for (size_t k = 0; k < positions.size(); ++k)
    times.pieces.push_back({.position_bytes = positions[k], .offset_seconds = offsets[k]});
  for (StreamScan* stream : streams) {
    if (stream->stream().codecpar->codec_type != AVMEDIA_TYPE_VIDEO) continue;
    for (SeekPoint point : stream->keyframes()) {
      point.seconds += offsets[piece_of(point.position_bytes)];
      times.keyframes.push_back(point);
    }
  }
  return spans;
}

bool is_cut_off(const Demuxer& demuxer, const std::vector<StreamScan*>& streams) {
  if (ends_early(demuxer.io(), demuxer.context().iformat->name)) return true;
  return std::any_of(streams.begin(), streams.end(),
                     [&](const StreamScan* s) { return s->tail().is_cut_off(demuxer); });
}

}  // namespace

MediaTimes scan_packets(Demuxer& demuxer) {
  const AVFormatContext& context = demuxer.context();
  const bool jumps_forward = (context.iformat->flags & AVFMT_TS_DISCONT) != 0;
  std::optional<StreamScan> audio, video;
  if (demuxer.audio_stream() != nullptr) audio.emplace(*demuxer.audio_stream(), jumps_forward);
  if (demuxer.video_stream() != nullptr) video.emplace(*demuxer.video_stream(), jumps_forward);
  demuxer.read_only({demuxer.audio_stream(), demuxer.video_stream()});

  const ffmpeg::Packet packet = ffmpeg::make_packet();
  while (demuxer.read(*packet)) {
    for (auto* scan : {&audio, &video})
      if (*scan && (*scan)->stream().index == packet->stream_index) (*scan)->add(*packet);
    av_packet_unref(packet.get());
  }
  std::vector<StreamScan*> streams;
  for (auto* scan : {&audio, &video}) {
    if (!*scan) continue;
    (*scan)->finish();
    streams.push_back(&**scan);
  }
  if (streams.size() == 2) {
    join_gaps(streams[0]->runs(), streams[1]->runs());
    join_gaps(streams[1]->runs(), streams[0]->runs());
  }
  MediaTimes times{.measured = true};
  const std::vector<Span> spans = join_pieces(streams, times);
  for (size_t i = 0; i < streams.size(); ++i) {
    if (spans[i].empty()) continue;
    const bool is_video = streams[i]->stream().codecpar->codec_type == AVMEDIA_TYPE_VIDEO;
    (is_video ? times.video : times.audio) = {.start_seconds = spans[i].start, .end_seconds = spans[i].end};
    if (is_video) {
      times.one_picture = streams[i]->num_packets() == 1;
    } else if (!streams[i]->drops_priming()) {
      times.priming_seconds = ffmpeg::priming_seconds(*streams[i]->stream().codecpar);
    }
  }
  times.cut_off = is_cut_off(demuxer, streams);
  return times;
}

}  // namespace cavmae
