// How often a classifier of sound and pictures is led astray by having both. Free functions; safe from
// several threads.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "cavmae/core/json.h"
#include "cavmae/core/torch.h"

namespace cavmae {

// Whether a clip's highest score is that of one of its classes, by what the classifier was given; nothing
// where the clip lacks it.
struct ClipHits {
  std::optional<bool> both, audio, video;
};

// Note [Modality confusion]: as VGGSounder (2025) defines it, the share of the clips that are right with one
// modality alone and wrong with both. Clips without both modalities, or without a label, are left out.
struct ModalityConfusion {
  int64_t clips = 0;    // that have both
  double audio = 0.0;   // right with sound alone, wrong with both
  double video = 0.0;   // right with pictures alone, wrong with both
  double either = 0.0;  // right with one of them alone, wrong with both
  double audio_top1 = 0.0, video_top1 = 0.0, both_top1 = 0.0;  // right, over the same clips
};
ModalityConfusion modality_confusion(const std::vector<ClipHits>& hits);

// scores, targets: float [C]; nothing where the clip has no class.
std::optional<bool> is_hit(const torch::Tensor& scores, const torch::Tensor& targets);

Json to_json(const ModalityConfusion& confusion);

}  // namespace cavmae
