#include "cavmae/metrics/modality_confusion.h"

#include <algorithm>
#include <limits>

namespace cavmae {

std::optional<bool> is_hit(const torch::Tensor& scores, const torch::Tensor& targets) {
  if (targets.sum().item<double>() == 0) return std::nullopt;
  return targets[scores.argmax().item<int64_t>()].item<double>() > 0;
}

ModalityConfusion modality_confusion(const std::vector<ClipHits>& hits) {
  ModalityConfusion sum;
  for (const ClipHits& clip : hits) {
    if (!clip.both || !clip.audio || !clip.video) continue;
    ++sum.clips;
    sum.audio += *clip.audio && !*clip.both;
    sum.video += *clip.video && !*clip.both;
    sum.either += (*clip.audio || *clip.video) && !*clip.both;
    sum.audio_top1 += *clip.audio;
    sum.video_top1 += *clip.video;
    sum.both_top1 += *clip.both;
  }
  const double clips =
      sum.clips > 0 ? static_cast<double>(sum.clips) : std::numeric_limits<double>::quiet_NaN();
  for (double* share :
       {&sum.audio, &sum.video, &sum.either, &sum.audio_top1, &sum.video_top1, &sum.both_top1})
    *share /= clips;
  return sum;
}

Json to_json(const ModalityConfusion& c) {
  return {{"clips", c.clips},        {"audio", c.audio},           {"video", c.video},
          {"either", c.either},      {"audio_top1", c.audio_top1}, {"video_top1", c.video_top1},
          {"both_top1", c.both_top1}};
}

}  // namespace cavmae
