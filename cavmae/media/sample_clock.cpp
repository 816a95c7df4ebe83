#include "cavmae/media/sample_clock.h"

#include <cmath>

#include "cavmae/media/audio_seeking.h"

namespace cavmae {
namespace {

constexpr double kResyncSeconds = 0.05;  // a timestamp this far off the count is a gap or a jump

}  // namespace

SampleClock::SampleClock(const AVStream& stream, double origin_seconds)
    : time_base_(stream.time_base),
      origin_seconds_(origin_seconds),
      constant_frames_(has_constant_frames(stream.codecpar->codec_id)) {}

int64_t SampleClock::place(const AVFrame& frame) {
  return place(Stretch{.stamped = from_timestamp(frame.best_effort_timestamp, frame.sample_rate),
                       .num_samples = frame.nb_samples,
                       .rate_hz = frame.sample_rate});
}

int64_t SampleClock::place(const AVPacket& packet, int64_t num_samples, int64_t rate_hz) {
  const int64_t timestamp = packet.pts != AV_NOPTS_VALUE ? packet.pts : packet.dts;
  return place(
      Stretch{.stamped = from_timestamp(timestamp, rate_hz), .num_samples = num_samples, .rate_hz = rate_hz});
}

int64_t SampleClock::place(const Stretch& stretch) {
  const bool anew = first_end_ && !expected_;  // after a seek
  int64_t start = expected_.value_or(stretch.stamped.value_or(0));
  if (anew) {
    start = place_anew(stretch);
  } else if (expected_ && stretch.stamped) {
    const auto drift = static_cast<double>(std::abs(*stretch.stamped - *expected_));
    if (begins_piece_) {
      start = *stretch.stamped;
    } else if (settling_ && !agree(*stretch.stamped, *expected_, stretch.rate_hz)) {
      start = place_anew(stretch);
      agreeing_ = 0;
    } else if (drift >= kResyncSeconds * static_cast<double>(stretch.rate_hz)) {
      start = *stretch.stamped;
    } else {
      ++agreeing_;
    }
  }
  begins_piece_ = false;
  expected_ = start + stretch.num_samples;
  if (!first_end_) first_end_ = expected_;
  return start;
}

// By the timestamp alone: a coarse one needs the lattice.
int64_t SampleClock::place_anew(const Stretch& stretch) {
  const bool fine = is_fine(stretch.rate_hz);
  if (!stretch.stamped || (!fine && !constant_frames_) || stretch.num_samples <= 0) in_doubt_ = true;
  if (in_doubt_ || !constant_frames_) return stretch.stamped.value_or(expected_.value_or(0));
  const int64_t snapped = on_lattice(stretch);
  if (!agree(*stretch.stamped, snapped, stretch.rate_hz)) in_doubt_ = true;
  return fine ? *stretch.stamped : snapped;
}

std::optional<int64_t> SampleClock::from_timestamp(int64_t timestamp, int64_t rate_hz) const {
  if (timestamp == AV_NOPTS_VALUE) return std::nullopt;
  const double seconds = static_cast<double>(timestamp) * av_q2d(time_base_) - origin_seconds_;
  return std::llround(seconds * static_cast<double>(rate_hz));
}

int64_t SampleClock::on_lattice(const Stretch& stretch) const {
  const int64_t size = stretch.num_samples;
  const auto frames = static_cast<double>(*stretch.stamped - *first_end_) / static_cast<double>(size);
  return *first_end_ + std::llround(frames) * size;
}

// Whether two places differ by no more than a timestamp is rounded.
bool SampleClock::agree(int64_t a, int64_t b, int64_t rate_hz) const {
  const double tick = av_q2d(time_base_) * static_cast<double>(rate_hz);
  return static_cast<double>(std::abs(a - b)) <= tick + 1.0;
}

}  // namespace cavmae
