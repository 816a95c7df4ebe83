#include "cavmae/media/sample_clock.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace cavmae {
namespace {

constexpr double kResyncSeconds = 0.05;  // a timestamp this far off the count is a gap or a jump

bool has_constant_frames(AVCodecID codec) {
  constexpr std::array<AVCodecID, 7> kConstant = {AV_CODEC_ID_AAC, AV_CODEC_ID_MP3, AV_CODEC_ID_MP2,
                                                  AV_CODEC_ID_MP1, AV_CODEC_ID_AC3, AV_CODEC_ID_EAC3,
                                                  AV_CODEC_ID_OPUS};
  return std::find(kConstant.begin(), kConstant.end(), codec) != kConstant.end();
}

}  // namespace

SampleClock::SampleClock(const AVStream& stream, double origin_seconds)
    : time_base_(stream.time_base),
      origin_seconds_(origin_seconds),
      constant_frames_(has_constant_frames(stream.codecpar->codec_id)) {}

int64_t SampleClock::place(const AVFrame& frame) {
  const std::optional<int64_t> stamped = from_timestamp(frame);
  int64_t start = stamped.value_or(expected_.value_or(0));
  if (expected_ && stamped) {
    const auto drift = static_cast<double>(std::abs(start - *expected_));
    if (drift < kResyncSeconds * frame.sample_rate) start = *expected_;
  } else if (first_end_ && stamped) {
    start = snap(start, frame);
  }
  expected_ = start + frame.nb_samples;
  if (!first_end_) first_end_ = expected_;
  return start;
}

std::optional<int64_t> SampleClock::from_timestamp(const AVFrame& frame) const {
  if (frame.best_effort_timestamp == AV_NOPTS_VALUE) return std::nullopt;
  const double seconds =
      static_cast<double>(frame.best_effort_timestamp) * av_q2d(time_base_) - origin_seconds_;
  return std::llround(seconds * frame.sample_rate);
}

int64_t SampleClock::snap(int64_t start, const AVFrame& frame) const {
  if (is_fine(frame.sample_rate) || !constant_frames_ || frame.nb_samples <= 0) return start;
  const int64_t size = frame.nb_samples;
  const auto frames = static_cast<double>(start - *first_end_) / static_cast<double>(size);
  const int64_t snapped = *first_end_ + std::llround(frames) * size;
  const double tick = av_q2d(time_base_) * frame.sample_rate;
  return static_cast<double>(std::abs(snapped - start)) <= tick + 1.0 ? snapped : start;
}

}  // namespace cavmae
