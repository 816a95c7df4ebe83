// A linear embedding of patches that have been cut already. A module; its weight has the shape of the
// convolution that checkpoints hold.
#pragma once

#include "cavmae/core/torch.h"
#include "cavmae/kernels/packed_weight.h"
#include "cavmae/nn/compute.h"

namespace cavmae {

class PatchEmbeddingImpl : public torch::nn::Module {
 public:
  PatchEmbeddingImpl(int64_t channels, int64_t patch, int64_t width);

  // patches: float [B, N, C*P*P], PatchOrder::channels_first -> float [B, N, D]
  torch::Tensor forward(const torch::Tensor& patches, const Compute& how);

 private:
  // The layer "proj" of the checkpoints.
  struct ProjectionImpl : torch::nn::Module {
    ProjectionImpl(int64_t channels, int64_t patch, int64_t width);
    torch::Tensor weight;  // float [D, C, P, P]
    torch::Tensor bias;    // float [D]
  };
  std::shared_ptr<ProjectionImpl> projection_;
  std::shared_ptr<kernels::PackedWeight> packed_ = std::make_shared<kernels::PackedWeight>();
};
TORCH_MODULE(PatchEmbedding);

}  // namespace cavmae
