// The reconstruction loss: L_r of Gong et al., ICLR 2023. Free functions.
#pragma once

#include "cavmae/core/torch.h"

namespace cavmae {

// Per-patch normalisation of the targets: (x - mean) / sqrt(var + 1e-6), var unbiased. [.., n] -> [.., n].
torch::Tensor normalize_patches(const torch::Tensor& patches);

// Mean over a patch's values, then over the masked patches. predictions, targets: float [B, M, n] -> float
// [].
torch::Tensor reconstruction_loss(const torch::Tensor& predictions, const torch::Tensor& targets);

}  // namespace cavmae
