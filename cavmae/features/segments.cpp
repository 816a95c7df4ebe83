#include "cavmae/features/segments.h"

#include <algorithm>
#include <cmath>

#include "cavmae/features/fbank.h"

namespace cavmae {

Segment aligned_segment(const SegmentPlan& plan, int64_t picture) {
  const double centre =
      static_cast<double>(picture * plan.clip_frames) / static_cast<double>(plan.num_pictures);
  const auto middle = static_cast<int64_t>(std::nearbyint(centre));
  const int64_t length = std::min(plan.segment_frames, plan.clip_frames);
  const int64_t start = std::max<int64_t>(0, middle - plan.segment_frames / 2);
  const int64_t last_start = plan.clip_frames - length;
  return {.start = std::min(start, last_start), .end = std::min(start, last_start) + length};
}

SegmentPlan segment_plan(const InputSpec& spec) {
  return {.num_pictures = spec.num_frames,
          .clip_frames = spec.num_fbank_frames,
          .segment_frames = spec.audio_window_frames};
}

SegmentPlan segment_plan(const InputSpec& spec, double seconds) {
  SegmentPlan plan = segment_plan(spec);
  const double share = std::min(1.0, seconds / spec.window_seconds);
  const auto frames = static_cast<int64_t>(std::lround(share * static_cast<double>(plan.clip_frames)));
  plan.clip_frames = std::max(plan.segment_frames, frames);
  return plan;
}

torch::Tensor cut_segment(const torch::Tensor& fbank, const SegmentPlan& plan, int64_t picture) {
  const Segment segment = aligned_segment(plan, picture);
  return fit_frames(fbank, plan.clip_frames).narrow(0, segment.start, segment.end - segment.start);
}

}  // namespace cavmae
