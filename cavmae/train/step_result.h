// What a batch gave, and sums over batches. Plain values.
#pragma once

#include <cstdint>

#include "cavmae/core/torch.h"

namespace cavmae {

// A part that the task has not is undefined. All float [].
struct StepResult {
  torch::Tensor loss;              // the weighted sum, with gradient
  torch::Tensor loss_audio;        // reconstruction of masked audio patches
  torch::Tensor loss_video;        // reconstruction of masked video patches
  torch::Tensor loss_contrastive;  // before its weight
  torch::Tensor
      accuracy;  // share of the clips that found their partner in the batch, or whose class came first
};

// Sums of the results of several batches, weighted by their clips.
struct StepMeans {
  int64_t clips = 0;
  double loss = 0.0, loss_audio = 0.0, loss_video = 0.0, loss_contrastive = 0.0, accuracy = 0.0;

  void add(const StepResult& result, int64_t batch);
  void add(const StepMeans& other);
  // The means; the parts that a system lacks are 0.
  StepMeans mean() const;

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("clips", o.clips, "clips that were summed over");
    v("loss", o.loss, "sum of the loss");
    v("loss_audio", o.loss_audio, "sum of the audio reconstruction loss");
    v("loss_video", o.loss_video, "sum of the video reconstruction loss");
    v("loss_contrastive", o.loss_contrastive, "sum of the contrastive loss");
    v("accuracy", o.accuracy, "sum of the contrastive accuracy");
  }
};

}  // namespace cavmae
