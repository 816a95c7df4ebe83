#include "cavmae/losses/classification.h"

#include "cavmae/core/error.h"

namespace cavmae {

torch::Tensor classification_loss(ClassificationLoss loss, const torch::Tensor& logits,
                                  const torch::Tensor& targets) {
  CAVMAE_CHECK(logits.dim() == 2 && logits.sizes() == targets.sizes(), "logits ", logits.sizes(),
               " and targets ", targets.sizes(), " must both be [clips, classes]");
  const torch::Tensor x = logits.to(torch::kFloat32), t = targets.to(torch::kFloat32);
  return loss == ClassificationLoss::bce ? at::binary_cross_entropy_with_logits(x, t)
                                         : at::cross_entropy_loss(x, t);
}

}  // namespace cavmae
