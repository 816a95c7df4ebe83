#include "cavmae/train/best_metric.h"

#include <cmath>

namespace cavmae {

Judgement judge_validation(const ValidationResult& result, BestMetric metric) {
  if (metric == BestMetric::retrieval && result.retrieval)
    return {.value = (result.retrieval->audio_to_video.r1 + result.retrieval->video_to_audio.r1) / 2,
            .higher_is_better = true};
  if (metric == BestMetric::map && result.classification &&
      std::isfinite(result.classification->mean_average_precision))
    return {.value = result.classification->mean_average_precision, .higher_is_better = true};
  if (metric == BestMetric::accuracy && result.classification)
    return {.value = result.classification->top1, .higher_is_better = true};
  return {.value = result.losses.loss, .higher_is_better = false};
}

}  // namespace cavmae
