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

// Where group `group` of so many begins; groups differ by one row at most, the first ones are larger.
int64_t group_begin(int64_t rows, int64_t groups, int64_t group) {
  return group * (rows / groups) + std::min(group, rows % groups);
}

// Means over this rank's clips. audio, video: float [B, D]
ContrastiveResult grouped_loss(const torch::Tensor& audio, const torch::Tensor& video,
                               const ContrastiveOptions& options, const RowsOfBatch& place) {
  const int64_t clips = audio.size(0), batch = place.batch == 0 ? clips : place.batch;
  const int64_t groups = num_groups(batch, options.contrastive_batch);
  const auto a = unit_rows(audio), v = unit_rows(video);
  if (groups == 1) return group_loss(a, v, options);
  const auto first_in = [&](int64_t group) {
    const int64_t row = group_begin(batch, groups, group);
    if (place.rows.empty()) return std::min(row, clips);
    return std::ranges::lower_bound(place.rows, row) - place.rows.begin();
  };
  ContrastiveResult mean;
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t first = first_in(g), size = first_in(g + 1) - first;
    if (size == 0) continue;
    const double share = static_cast<double>(size) / static_cast<double>(clips);
    const ContrastiveResult group = group_loss(a.narrow(0, first, size), v.narrow(0, first, size), options);
    mean.loss = mean.loss.defined() ? mean.loss + group.loss * share : group.loss * share;
    mean.accuracy = mean.accuracy.defined() ? mean.accuracy + group.accuracy * share : group.accuracy * share;
  }
  return mean;
}

}  // namespace

bool gathers_negatives(const ContrastiveOptions& options, const World& world) {
  return world.size() > 1 && options.resolved_negatives() == Negatives::all;
}

void check_groups_fit_ranks(const ContrastiveOptions& options, int64_t batch, const World& world) {
  if (options.resolved_negatives() != Negatives::group) return;
  const int64_t groups = num_groups(batch, options.contrastive_batch), ranks = world.size();
  for (int64_t rank = 1; rank < ranks; ++rank) {
    const int64_t row = batch * rank / ranks;
    bool is_begin = false;
    for (int64_t g = 0; g < groups && !is_begin; ++g) is_begin = group_begin(batch, groups, g) == row;
    CAVMAE_CHECK_AS(
        ConfigError, is_begin, "a group of ", options.contrastive_batch,
        " clips (--contrastive-batch) would straddle ranks of ", batch / ranks,
        " clips; choose a batch a rank that it divides, or --negatives all with --contrastive-batch 0");
  }
}

ContrastiveResult contrastive_loss(const torch::Tensor& audio, const torch::Tensor& video,
                                   const ContrastiveOptions& options, World& world,
                                   const RowsOfBatch& place) {
  CAVMAE_CHECK(audio.dim() == 2 && audio.sizes() == video.sizes(), "audio ", audio.sizes(), " and video ",
               video.sizes(), " are not pairs of vectors");
  if (!gathers_negatives(options, world)) return grouped_loss(audio, video, options, place);
  const auto all_audio = gather_rows(world, audio.to(torch::kFloat32)),
             all_video = gather_rows(world, video.to(torch::kFloat32));
  const int64_t own = audio.size(0), all = all_audio.size(0);
  if (all == 0)
    return {.loss = at::zeros({}, all_audio.options()), .accuracy = at::zeros({}, all_audio.options())};
  ContrastiveResult joined = group_loss(unit_rows(all_audio), unit_rows(all_video), options);
  // The value stays; the gradient is multiplied.
  const double factor = own == 0 ? 1.0 : static_cast<double>(all) / static_cast<double>(own);
  joined.loss = joined.loss * factor - joined.loss.detach() * (factor - 1);
  return joined;
}

}  // namespace cavmae
