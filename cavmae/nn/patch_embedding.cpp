#include "cavmae/nn/patch_embedding.h"

#include "cavmae/nn/fused_block.h"
#include "cavmae/nn/linear.h"
#include "cavmae/nn/unset_parameters.h"

namespace cavmae {

PatchEmbeddingImpl::ProjectionImpl::ProjectionImpl(int64_t channels, int64_t patch, int64_t width)
    : weight(register_parameter("weight", new_weight({width, channels, patch, patch}))),
      bias(register_parameter("bias", torch::zeros({width}))) {}

PatchEmbeddingImpl::PatchEmbeddingImpl(int64_t channels, int64_t patch, int64_t width)
    : projection_(register_module("proj", std::make_shared<ProjectionImpl>(channels, patch, width))) {}

torch::Tensor PatchEmbeddingImpl::forward(const torch::Tensor& patches, const Compute& how) {
  if (kernels_for(patches, how) == Kernels::fused)
    return fused_linear(patches, {projection_->weight, projection_->bias, packed_}, how);
  return unfused_linear(patches, projection_->weight.flatten(1), projection_->bias, how, ResultType::fp32);
}

}  // namespace cavmae
