// The contrastive loss: Gong et al., ICLR 2023, Eq. (7). Free functions.
#pragma once

#include <cstdint>

#include "cavmae/core/torch.h"
#include "cavmae/dist/world.h"

namespace cavmae {

struct ContrastiveOptions {
  double temperature = 0.05;
  bool bidirectional = false;  // else each video against all audios, as the authors train
  // Note [Contrastive groups]: clips find their partners within a group of at most so many. The authors train
  // on several devices and each contrasts the clips it holds alone (27 of a batch of 108 on four); with 27
  // here one device computes the same loss. 0: the whole batch. A batch that this does not divide is cut into
  // groups as equal as possible.
  int64_t contrastive_batch = 0;

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("temperature", o.temperature, "temperature of the contrastive loss");
    v("bidirectional", o.bidirectional, "average the loss over both directions");
    v("contrastive_batch", o.contrastive_batch,
      "clips that are contrasted with each other, at most; a larger batch is cut into such groups (0: the whole batch)");
  }
};

struct ContrastiveResult {
  torch::Tensor loss;      // float []
  torch::Tensor accuracy;  // float [], no gradient
};

// Means over the clips, whatever their groups. audio, video: float [B, D], not yet normalised.
//
// Of several ranks it is the loss of their clips joined by rank, the same on each of them: every clip has the
// clips of all ranks as negatives. A rank's gradient is that of its own clips times the number of ranks, so
// that the mean over the ranks of the parameters' gradients is the gradient of the joined batch.
ContrastiveResult contrastive_loss(const torch::Tensor& audio, const torch::Tensor& video,
                                   const ContrastiveOptions& options, World& world);

}  // namespace cavmae
