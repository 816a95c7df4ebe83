// The contrastive loss: Gong et al., ICLR 2023, Eq. (7). Free functions.
#pragma once

#include "cavmae/core/torch.h"

namespace cavmae {

struct ContrastiveOptions {
  double temperature = 0.05;
  bool bidirectional = false;  // else each video against all audios, as the authors train

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("temperature", o.temperature, "temperature of the contrastive loss");
    v("bidirectional", o.bidirectional, "average the loss over both directions");
  }
};

struct ContrastiveResult {
  torch::Tensor loss;      // float []
  torch::Tensor accuracy;  // float [], no gradient
};

// audio, video: float [B, D], not yet normalised.
ContrastiveResult contrastive_loss(const torch::Tensor& audio, const torch::Tensor& video,
                                   const ContrastiveOptions& options);

}  // namespace cavmae
