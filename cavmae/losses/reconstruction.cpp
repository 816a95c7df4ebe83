#include "cavmae/losses/reconstruction.h"

#include "cavmae/core/error.h"

namespace cavmae {

torch::Tensor normalize_patches(const torch::Tensor& patches) {
  constexpr double kEpsilon = 1e-6;
  const auto [variance, mean] =
      at::var_mean(patches, torch::IntArrayRef{-1}, /*unbiased=*/true, /*keepdim=*/true);
  return (patches - mean).div_((variance + kEpsilon).sqrt_());
}

torch::Tensor reconstruction_loss(const torch::Tensor& predictions, const torch::Tensor& targets) {
  CAVMAE_CHECK(predictions.sizes() == targets.sizes(), "predictions ", predictions.sizes(), " and targets ",
               targets.sizes(), " differ in size");
  // Every patch has the same number of values, so the mean over all is the mean of the patches' means.
  return at::mse_loss(predictions, targets);
}

}  // namespace cavmae
