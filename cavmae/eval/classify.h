// A classifier's scores of clips. Free functions; the model is read, not changed.
#pragma once

#include <memory>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/data/loader.h"
#include "cavmae/eval/clip_passes.h"
#include "cavmae/models/classifier.h"

namespace cavmae {

struct ClipScores {
  torch::Tensor scores;          // float [N, C], 0 to 1
  torch::Tensor logits;          // float [N, C], the mean over a clip's pictures
  std::vector<int64_t> indices;  // positions in the list of clips, [N], ascending
  // Clips that were scored by one modality though the classifier takes both: Note [Pooled output].
  std::vector<int64_t> audio_only, video_only;
  // Clips that could not be read, or not whole: of those the side says what they were not scored by. One
  // whose scores are not finite has no row.
  std::vector<BadClip> failed;
  Precision precision = Precision::fp32;  // that they were computed in
};

// A clip that lacks a modality is scored by the other where the mode is both, and with a self-attention head
// of both is one that cannot be read; need, title and device are set here. options.view.frames all: the mean
// of the scores over a clip's pictures, as the authors evaluate; the sound is encoded once. Every rank of
// options.world gets the whole result. Throws DataError past loader.max_bad_ratio. `given`: audio or video
// gives a classifier of both that modality of each clip alone: ConfigError unless scores_one_modality().
ClipScores classify_clips(Classifier& classifier, const InputSpec& spec, const ClipList& clips,
                          const PassOptions& options, std::shared_ptr<Log> log,
                          Modalities given = Modalities::both);

// What of a clip a classifier with such a head is given, and whether it scores a clip by one modality.
Need needed_of_head(const HeadOptions& head);
bool scores_one_modality(const HeadOptions& head);

// The scores of one batch whose video is [B, 3, S, S], or [B, K, 3, S, S] where it is averaged over pictures.
struct BatchScores {
  torch::Tensor scores;        // float [B, C] on the CPU
  torch::Tensor frame_logits;  // float [B, K, C] on the CPU
};
BatchScores classify_batch(Classifier& classifier, const Inputs& inputs);

// float [.., C] -> float [.., C], 0 to 1: each class by itself, or a distribution over them.
torch::Tensor class_scores(const torch::Tensor& logits, ScoreKind kind);

}  // namespace cavmae
