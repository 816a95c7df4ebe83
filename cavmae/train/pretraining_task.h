// The pretraining objective as one call: network and losses joined (Gong et al., ICLR 2023).
// It works for every system of the paper: what the network lacks is left out of the loss. One owner.
#pragma once

#include <cstdint>

#include "cavmae/core/torch.h"
#include "cavmae/losses/pretraining.h"
#include "cavmae/models/cav_mae.h"

namespace cavmae {

// What a batch gave. A part that the system has not is undefined. All float [].
struct StepResult {
  torch::Tensor loss;              // the weighted sum, with gradient
  torch::Tensor loss_audio;        // reconstruction of hidden audio patches
  torch::Tensor loss_video;        // reconstruction of hidden video patches
  torch::Tensor loss_contrastive;  // before its weight
  torch::Tensor accuracy;          // share of the clips that found their partner in the batch
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

class PretrainingTask {
 public:
  PretrainingTask(CavMae model, const ObjectiveOptions& objective, const MaskOptions& masks);

  // Draws masks from `generator` and computes the loss; call backward() on it.
  StepResult training_forward(const Inputs& inputs, torch::Generator generator);
  // The same without gradients, with masks that depend on `mask_seed` alone.
  StepResult evaluation_forward(const Inputs& inputs, uint64_t mask_seed);

  // Which parts of the loss the system has.
  bool reconstructs() const;
  bool contrasts() const;

  CavMae& model() { return model_; }
  const CavMae& model() const { return model_; }

 private:
  StepResult forward(const Inputs& inputs, torch::Generator generator);
  void add_reconstruction(StepResult& result, const Inputs& inputs, const Latents& latents,
                          const Masks& masks);
  void add_contrastive(StepResult& result, const Latents& latents);

  CavMae model_;
  ObjectiveOptions objective_;
  MaskOptions masks_;
};

}  // namespace cavmae
