// Which stretch of a clip's filterbank belongs to which of its pictures. Free functions.
#pragma once

#include <cstdint>
#include <vector>

#include "cavmae/core/torch.h"
#include "cavmae/features/input_spec.h"

namespace cavmae {

// Frames [start, end) of the filterbank.
struct Segment {
  int64_t start = 0, end = 0;

  bool operator==(const Segment&) const = default;
};

// Note [Aligned segments]: as CAV-MAE Sync (CVPR 2025) cuts them. Picture i of K has the T frames around
// c = round(i * L / K), halves to even: from max(0, c - floor(T / 2)) on, or the last T of the L frames of
// the clip where they would reach beyond. A segment is cut from the padded filterbank of the whole clip and
// normalised after that. Neighbours at the ends of a clip may be the same.
struct SegmentPlan {
  int64_t num_pictures = 0;    // K
  int64_t clip_frames = 0;     // L
  int64_t segment_frames = 0;  // T
};
Segment aligned_segment(const SegmentPlan& plan, int64_t picture);

// That of an InputSpec with alignment picture.
SegmentPlan segment_plan(const InputSpec& spec);
// Over the first `seconds` of the window, which are all that the clip has, as its pictures are spread over
// them: L is as much smaller, down to T.
SegmentPlan segment_plan(const InputSpec& spec, double seconds);

// fbank: float [t, F], as long as it is -> float [T, F], with zeros behind the end of the sound.
torch::Tensor cut_segment(const torch::Tensor& fbank, const SegmentPlan& plan, int64_t picture);

}  // namespace cavmae
