// The losses of fine-tuning. Free functions.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cavmae/core/torch.h"

namespace cavmae {

// bce: every class by itself, for clips with several labels. ce: one distribution over the classes, for clips
// with one label (several where two clips are mixed).
enum class ClassificationLoss { bce, ce };
inline std::vector<std::pair<ClassificationLoss, std::string>> option_names(ClassificationLoss) {
  return {{ClassificationLoss::bce, "bce"}, {ClassificationLoss::ce, "ce"}};
}

// logits, targets: float [B, C]; targets may be soft, and those of a row need not add up to 1. Returns float
// []:
//   bce: mean over clips and classes of -(t * log(sigmoid(x)) + (1 - t) * log(1 - sigmoid(x)))
//   ce:  mean over clips of -sum over classes of t * log_softmax(x)
torch::Tensor classification_loss(ClassificationLoss loss, const torch::Tensor& logits,
                                  const torch::Tensor& targets);

}  // namespace cavmae
