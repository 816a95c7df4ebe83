#include "cavmae/features/mixup.h"

#include <algorithm>

#include "cavmae/core/error.h"

namespace cavmae {

torch::Tensor mix_waveforms(const torch::Tensor& first, const torch::Tensor& second, double first_share) {
  CAVMAE_CHECK(first.dim() == 1 && second.dim() == 1 && first.size(0) > 0 && second.size(0) > 0,
               "waveforms to mix must be float [n], not ", first.sizes(), " and ", second.sizes());
  torch::Tensor mix = (first - first.mean()).mul_(first_share);
  const int64_t length = std::min(first.size(0), second.size(0));
  mix.narrow(0, 0, length).add_((second - second.mean()).narrow(0, 0, length), 1.0 - first_share);
  return mix.sub_(mix.mean());
}

torch::Tensor mix_pictures(const torch::Tensor& first, const torch::Tensor& second, double first_share) {
  CAVMAE_CHECK(first.sizes() == second.sizes(), "pictures to mix differ in size: ", first.sizes(), " and ",
               second.sizes());
  return (first * first_share).add_(second, 1.0 - first_share);
}

}  // namespace cavmae
