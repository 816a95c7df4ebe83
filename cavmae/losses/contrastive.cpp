#include "cavmae/losses/contrastive.h"

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

constexpr double kSmallestNorm = 1e-12;  // below it a vector is divided by this instead

torch::Tensor unit_rows(const torch::Tensor& x) {
  return x / x.norm(2, /*dim=*/-1, /*keepdim=*/true).clamp_min(kSmallestNorm);
}

// Softmax cross-entropy over each row of similarities, whose partner stands at partner[row].
// logits: float [M, K]; partner: int64 [M]
ContrastiveResult rows_find_partners(const torch::Tensor& logits, const torch::Tensor& partner) {
  return {.loss = at::cross_entropy_loss(logits, partner),
          .accuracy = logits.detach().argmax(1).eq(partner).to(torch::kFloat32).mean()};
}

}  // namespace

ContrastiveResult contrastive_loss(const torch::Tensor& audio, const torch::Tensor& video,
                                   const ContrastiveOptions& options) {
  CAVMAE_CHECK(audio.dim() == 2 && audio.sizes() == video.sizes(), "audio ", audio.sizes(), " and video ",
               video.sizes(), " are not pairs of vectors");
  const auto a = unit_rows(audio), v = unit_rows(video);
  const auto partner =
      torch::arange(audio.size(0), torch::TensorOptions(torch::kInt64).device(audio.device()));
  // Row i of `logits`: video i against every audio.
  const auto logits = at::mm(v, a.t()) / options.temperature;
  auto result = rows_find_partners(logits, partner);
  if (options.bidirectional) {
    const auto reverse = rows_find_partners(logits.t(), partner);
    result.loss = (result.loss + reverse.loss) / 2;
    result.accuracy = (result.accuracy + reverse.accuracy) / 2;
  }
  return result;
}

}  // namespace cavmae
