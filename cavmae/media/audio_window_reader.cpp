#include "cavmae/media/audio_window_reader.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string_view>
#include <utility>
#include <vector>

#include "cavmae/core/error.h"
#include "cavmae/media/audio_samples.h"
#include "cavmae/media/audio_track.h"

namespace cavmae {
namespace {

constexpr double kPrerollSeconds = 0.6;  // a decoder that starts in the middle settles well within it
constexpr double kMinSkipSeconds = 2.0;  // below, reading on is as cheap as seeking
constexpr double kMissingAudioSeconds =
    0.5;                                // sound that may lack at the end before a file counts as cut off
constexpr double kMarginSeconds = 0.1;  // sound around the window, for the resampler's filter

}  // namespace

AudioWindowReader::AudioWindowReader(const MediaSource& source, const AudioRequest& request,
                                     AudioStats& stats, std::optional<SoundSkip> skip)
    : request_(request),
      stats_(stats),
      demuxer_(source, request.audio_track, request.times),
      stream_index_(demuxer_.require_audio_stream().index),
      decoder_(std::in_place, demuxer_, stream()),
      clock_(stream(), demuxer_.origin_seconds()),
      skip_(skip.value_or(sound_skip(*demuxer_.context().iformat, stream()))),
      recorder_(request.channels) {
  demuxer_.read_only(stream());
  watch_packets();
}

int64_t AudioWindowReader::track() const {
  return audio_track_number(demuxer_.context(), stream());
}

int64_t AudioWindowReader::num_tracks() const {
  return num_audio_tracks(demuxer_.context());
}

void AudioWindowReader::fail_undecodable() const {
  demuxer_.fail("holds audio that cannot be decoded; it is damaged");
}

void AudioWindowReader::watch_packets() {
  decoder_->on_packet([this](const AVPacket& packet) {
    if (packet.pts != AV_NOPTS_VALUE) latest_packet_ = std::max(latest_packet_, packet.pts);
  });
}

int64_t AudioWindowReader::next_frame() {
  const int64_t errors = decoder_->num_errors();
  if (!decoder_->next(*frame_)) return kEnd;
  if (rate_hz_ == 0) rate_hz_ = frame_->sample_rate;
  if (rate_hz_ <= 0 || frame_->sample_rate != rate_hz_)
    demuxer_.fail(concat("changes its sample rate from ", rate_hz_, " to ", frame_->sample_rate,
                         " Hz in the middle; convert it to one rate first"));
  ++stats_.decoded;
  follows_gap_ = lacks_sound_before(errors);
  watch_pieces();
  return clock_.place(*frame_);
}

// Not every packet that cannot be decoded held sound: tags in the middle of an MP3 file do not.
bool AudioWindowReader::lacks_sound_before(int64_t errors_before) {
  const double seconds = static_cast<double>(frame_->nb_samples) / static_cast<double>(rate_hz_);
  const double begin = static_cast<double>(frame_->best_effort_timestamp) * av_q2d(stream().time_base);
  const bool is_late = begin > end_by_clock_ + seconds / 2;
  end_by_clock_ = begin + seconds;
  return (decoder_->num_errors() > errors_before && is_late) || frame_->decode_error_flags != 0;
}

// Of the packet that was read last.
void AudioWindowReader::watch_pieces() {
  const size_t piece = demuxer_.piece_of(stream());
  if (piece != piece_) clock_.begin_piece();
  piece_ = piece;
}

// Passes over what lies before `sample` where that saves decoding; returns where the current frame starts,
// at or before `sample`.
int64_t AudioWindowReader::skip_towards(int64_t sample, int64_t start) {
  if (skip_ == SoundSkip::seek && !clock_.exact_after_seek(rate_hz_)) skip_ = SoundSkip::decode;
  if (start == kEnd || skip_ == SoundSkip::decode) return start;
  if (static_cast<double>(sample - start) < kMinSkipSeconds * static_cast<double>(rate_hz_)) return start;
  int64_t landed = skip_ == SoundSkip::seek ? seek_before(sample) : count_up_to(sample);
  // On the way to the window the timestamps show whether this is the place that it is taken for.
  while (landed != kEnd && landed + frame_->nb_samples <= sample) landed = next_frame();
  const bool in_doubt = landed == kEnd || (skip_ == SoundSkip::seek && !clock_.is_steady());
  if (!in_doubt && landed <= sample) {
    clock_.settle();
    return landed;
  }
  const bool counts = skip_ == SoundSkip::seek && can_be_counted(stream().codecpar->codec_id);
  skip_ = counts ? SoundSkip::count : SoundSkip::decode;
  return skip_towards(sample, start_over());
}

// Reads from the beginning.
int64_t AudioWindowReader::start_over() {
  ++stats_.restarts;
  demuxer_.restart();
  decoder_.emplace(demuxer_, stream());
  watch_packets();
  clock_ = SampleClock(stream(), demuxer_.origin_seconds());
  return next_frame();
}

int64_t AudioWindowReader::seek_before(int64_t sample) {
  ++stats_.seeks;
  const double target = static_cast<double>(sample) / static_cast<double>(rate_hz_) - kPrerollSeconds +
                        demuxer_.origin_seconds();
  if (!demuxer_.seek(stream(), std::llround(target / av_q2d(stream().time_base)))) return kEnd;
  decoder_->flush(ResumeAt::any_packet);
  clock_.after_seek();
  return next_frame();
}

// Counts packets instead of decoding them, up to shortly before `sample`.
int64_t AudioWindowReader::count_up_to(int64_t sample) {
  // The first frame may have lost samples to priming; the next one is whole.
  if (next_frame() == kEnd) return kEnd;
  const int64_t size = frame_->nb_samples;
  const auto from = sample - static_cast<int64_t>(kPrerollSeconds * static_cast<double>(rate_hz_));
  const double ticks_per_sample = 1.0 / (av_q2d(stream().time_base) * static_cast<double>(rate_hz_));
  bool constant = true;
  int64_t held = AV_NOPTS_VALUE;
  const auto passes = [&](const AVPacket& packet) {
    held = packet.pts;
    const double ticks = ticks_per_sample * static_cast<double>(size);
    if (packet.duration > 0 &&
        std::abs(static_cast<double>(packet.duration) - ticks) > 1.0 + ticks_per_sample)
      constant = false;
    // An edit list or priming in the middle: not all of the packet's samples are heard.
    if ((packet.flags & AV_PKT_FLAG_DISCARD) != 0 ||
        av_packet_get_side_data(&packet, AV_PKT_DATA_SKIP_SAMPLES, nullptr) != nullptr)
      constant = false;
    if (!constant || clock_.next() >= from) return false;
    watch_pieces();
    clock_.place(packet, size, rate_hz_);
    ++stats_.counted;
    return true;
  };
  if (!decoder_->pass_over(passes) || !constant) return kEnd;
  const int64_t start = next_frame();
  // A packet that gives no frame, or not the one it should, leaves the count in doubt.
  const bool same = frame_->pts == held && frame_->nb_samples == size;
  return same ? start : kEnd;
}

std::optional<std::vector<float>> AudioWindowReader::read(double start_seconds) {
  request_.start_seconds = start_seconds;
  if (frame_start_ == kNotBegun) frame_start_ = next_frame();
  if (rate_hz_ == 0) return std::nullopt;
  // The window starts on a sample that input and output share, so that any window is a slice of the whole.
  const int64_t grid = rate_hz_ / std::gcd(rate_hz_, request_.sample_rate_hz);
  const bool same_rate = rate_hz_ == request_.sample_rate_hz;
  const double margin = same_rate ? 0.0 : kMarginSeconds;
  const auto rate = static_cast<double>(rate_hz_);
  const auto first = static_cast<int64_t>(std::floor((request_.start_seconds - margin) * rate));
  const int64_t begin =
      same_rate ? std::llround(request_.start_seconds * rate) : std::max<int64_t>(0, first / grid * grid);
  const double end_seconds = request_.start_seconds + request_.duration_seconds;
  const int64_t end = same_rate ? begin + std::llround(request_.duration_seconds * rate)
                                : static_cast<int64_t>(std::ceil((end_seconds + margin) * rate));
  recorder_.move_to(begin, end);
  if (frame_start_ != kEnd) frame_start_ = skip_towards(begin, frame_start_);
  record();
  if (!recorder_.complete()) check_not_cut_off(recorder_.last_end());
  return cut_out(recorder_);
}

// Decodes until the window is complete, or to the end. The frame that the last window ended in comes first.
void AudioWindowReader::record() {
  for (; frame_start_ != kEnd; frame_start_ = next_frame()) {
    if (!recorder_.add(*frame_, frame_start_))
      demuxer_.fail(concat("holds audio in a sample format that is not known (", frame_->format, ")"));
    if (follows_gap_ && frame_start_ + frame_->nb_samples > recorder_.begin()) ++stats_.gaps;
    if (recorder_.complete()) return;
  }
}

std::vector<float> AudioWindowReader::cut_out(const AudioRecorder& recorder) const {
  const int64_t out_hz = request_.sample_rate_hz;
  if (recorder.samples().empty()) fail_at_end(recorder.last_end());
  const std::vector<float>& decoded = recorder.samples();
  std::vector<float> resampled;
  if (out_hz != rate_hz_) resampled = resample(decoded, rate_hz_, out_hz);
  const std::vector<float>& samples = out_hz != rate_hz_ ? resampled : decoded;
  const int64_t offset = std::llround(request_.start_seconds * static_cast<double>(out_hz)) -
                         recorder.begin() * out_hz / rate_hz_;
  const int64_t wanted = std::llround(request_.duration_seconds * static_cast<double>(out_hz));
  // As long as the sound itself; the resampler's tail may be a little longer.
  const int64_t whole = (static_cast<int64_t>(decoded.size()) * out_hz + rate_hz_ - 1) / rate_hz_;
  const int64_t available = std::min<int64_t>(static_cast<int64_t>(samples.size()), whole) - offset;
  if (available <= 0) fail_at_end(recorder.last_end());
  const auto begin = samples.begin() + offset;
  return {begin, begin + std::min(wanted, available)};
}

void AudioWindowReader::fail_at_end(int64_t last_end) const {
  check_not_cut_off(last_end);
  demuxer_.fail(concat("is shorter than the window's start: its audio ends at ",
                       static_cast<double>(last_end) / static_cast<double>(rate_hz_),
                       " s, the window starts at ", request_.start_seconds, " s"));
}

// What a file still holds is used when it covers the window; this is for when it does not.
void AudioWindowReader::check_not_cut_off(int64_t last_end) const {
  const double end = static_cast<double>(last_end) / static_cast<double>(rate_hz_);
  const double latest =
      static_cast<double>(latest_packet_) * av_q2d(stream().time_base) - demuxer_.origin_seconds();
  const double declared = demuxer_.times().audio.end_seconds;
  // In an MP4 file a last sample may be said to last longer than it is.
  const bool is_exact = std::string_view(demuxer_.context().iformat->name) != "mov,mp4,m4a,3gp,3g2,mj2";
  const bool lacks = is_exact && declared > end + kMissingAudioSeconds;
  if (latest > end + kMissingAudioSeconds || lacks || demuxer_.is_cut_off())
    demuxer_.fail(concat("is cut off or damaged: its audio should last ", std::max(declared, latest),
                         " s and ends at ", end, " s; copy or download it again"));
}

}  // namespace cavmae
