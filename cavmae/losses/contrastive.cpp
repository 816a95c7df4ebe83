#include "cavmae/losses/contrastive.h"

#include <algorithm>

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

// Unit vectors of one group. audio, video: float [N, D]
ContrastiveResult group_loss(const torch::Tensor& audio, const torch::Tensor& video,
                             const ContrastiveOptions& options) {
  const auto partner =
      torch::arange(audio.size(0), torch::TensorOptions(torch::kInt64).device(audio.device()));
  // Row i of `logits`: video i against every audio.
  const auto logits = at::mm(video, audio.t()) / options.temperature;
  auto result = rows_find_partners(logits, partner);
  if (options.bidirectional) {
    const auto reverse = rows_find_partners(logits.t(), partner);
    result.loss = (result.loss + reverse.loss) / 2;
    result.accuracy = (result.accuracy + reverse.accuracy) / 2;
  }
  return result;
}

int64_t num_groups(int64_t clips, int64_t contrastive_batch) {
  if (contrastive_batch <= 0) return 1;
  return std::max<int64_t>(1, (clips + contrastive_batch - 1) / contrastive_batch);
}

// Means over the clips of one batch. audio, video: float [B, D]
ContrastiveResult batch_loss(const torch::Tensor& audio, const torch::Tensor& video,
                             const ContrastiveOptions& options) {
  const int64_t clips = audio.size(0), groups = num_groups(clips, options.contrastive_batch);
  const auto a = unit_rows(audio), v = unit_rows(video);
  if (groups == 1) return group_loss(a, v, options);
  const auto audios = a.tensor_split(groups), videos = v.tensor_split(groups);
  ContrastiveResult mean;
  for (int64_t g = 0; g < groups; ++g) {
    const double share = static_cast<double>(audios[g].size(0)) / static_cast<double>(clips);
    const ContrastiveResult group = group_loss(audios[g], videos[g], options);
    mean.loss = g == 0 ? group.loss * share : mean.loss + group.loss * share;
    mean.accuracy = g == 0 ? group.accuracy * share : mean.accuracy + group.accuracy * share;
  }
  return mean;
}

}  // namespace

ContrastiveResult contrastive_loss(const torch::Tensor& audio, const torch::Tensor& video,
                                   const ContrastiveOptions& options, World& world) {
  CAVMAE_CHECK(audio.dim() == 2 && audio.sizes() == video.sizes(), "audio ", audio.sizes(), " and video ",
               video.sizes(), " are not pairs of vectors");
  if (world.size() == 1) return batch_loss(audio, video, options);
  ContrastiveResult joined = batch_loss(gather_rows(world, audio), gather_rows(world, video), options);
  // The value stays; the gradient is multiplied.
  const auto ranks = static_cast<double>(world.size());
  joined.loss = joined.loss * ranks - joined.loss.detach() * (ranks - 1);
  return joined;
}

}  // namespace cavmae
