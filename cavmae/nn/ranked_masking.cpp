#include "cavmae/nn/ranked_masking.h"

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

constexpr double kSmallestDeviation = 1e-12;  // of scores that are all alike

torch::Tensor descending(const torch::Tensor& values) {
  return values.argsort(/*dim=*/int64_t{-1}, /*descending=*/true);
}

torch::Tensor gumbel_noise(torch::IntArrayRef sizes, torch::Generator generator) {
  const auto uniform = at::rand(sizes, std::move(generator), torch::kFloat64).clamp(1e-12, 1.0 - 1e-12);
  return -(-uniform.log()).log();
}

}  // namespace

torch::Tensor rank_patches(const torch::Tensor& scores, Ranking ranking, double temperature,
                           torch::Generator generator) {
  const torch::NoGradGuard no_grad;
  const auto values = scores.detach().to(torch::kCPU, torch::kFloat64);
  if (ranking == Ranking::top) return descending(values);
  const auto centred = values - values.mean(1, /*keepdim=*/true);
  const auto deviation = centred.square().mean(1, /*keepdim=*/true).sqrt().clamp_min(kSmallestDeviation);
  const auto log_share = (centred / deviation / temperature).log_softmax(1);
  return descending(log_share + gumbel_noise(values.sizes(), std::move(generator)));
}

StreamMask mask_by_order(const torch::Tensor& order, double ratio) {
  const torch::NoGradGuard no_grad;
  const int64_t batch = order.size(0), length = order.size(1), kept = num_kept(length, ratio);
  CAVMAE_CHECK_AS(ConfigError, kept >= 1 || ratio == 1.0, "a mask ratio of ", ratio, " leaves none of ",
                  length, " patches visible; lower it, or hide the whole stream with 1");
  const auto places = torch::arange(length, order.options()).expand({batch, length});
  StreamMask mask;
  mask.keep = order.narrow(1, 0, kept).contiguous();
  mask.masked = order.narrow(1, kept, length - kept).contiguous();
  mask.restore = at::empty_like(order).scatter_(1, order, places);
  mask.mask = mask.restore.ge(kept).to(torch::kFloat32);
  return mask;
}

}  // namespace cavmae
