#include "cavmae/nn/masking.h"

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"
#include "cavmae/nn/ranked_masking.h"

namespace cavmae {
namespace {

constexpr double kShareOfEach = 0.7;  // of time and of frequency, where both are masked

torch::Tensor ascending(const torch::Tensor& draws) {
  return draws.argsort(/*dim=*/int64_t{-1}, /*descending=*/false);
}

// Adds 1 to the draws of `count` random columns of each clip, so that they come last in the order.
// draws: float [B, rows, columns]
void push_back_columns(torch::Tensor draws, int64_t count, torch::Generator& generator) {
  const auto chosen = ascending(at::rand({draws.size(0), draws.size(2)}, generator)).narrow(1, 0, count);
  const auto pushed = at::zeros({draws.size(0), draws.size(2)}).scatter_(1, chosen, 1.0);
  draws.add_(pushed.unsqueeze(1));
}

// One draw a patch: those with the lowest are kept. float [B, L]
torch::Tensor draw(int64_t batch, const PatchGrid& grid, double ratio, AudioMaskMode mode,
                   torch::Generator& generator) {
  auto draws = at::rand({batch, grid.size()}, generator);
  const bool both = mode == AudioMaskMode::time_frequency;
  const double share = both ? ratio * kShareOfEach : ratio;
  const auto cells = draws.view({batch, grid.rows, grid.columns});
  const auto count = [&](int64_t length) {
    return static_cast<int64_t>(static_cast<double>(length) * share);
  };
  if (mode == AudioMaskMode::time || both) push_back_columns(cells, count(grid.columns), generator);
  if (mode == AudioMaskMode::frequency || both)
    push_back_columns(cells.transpose(1, 2), count(grid.rows), generator);
  // What a row and a column both hide is masked once: its draw lies in [1, 2) like that of the others.
  return both ? at::where(draws.ge(2.0), draws - 1.0, draws) : draws;
}

}  // namespace

void MaskOptions::validate() const {
  Problems problems;
  const auto check = [&](const char* field, double ratio) {
    problems.require(ratio >= 0.0 && ratio <= 1.0, field, " is ", ratio, ", it must lie in 0 to 1");
  };
  check("mask_ratio_audio", mask_ratio_audio);
  check("mask_ratio_video", mask_ratio_video);
  problems.throw_if_any("the masks cannot be drawn");
}

int64_t num_kept(int64_t length, double ratio) {
  return static_cast<int64_t>(static_cast<double>(length) * (1.0 - ratio));
}

StreamMask draw_mask(int64_t batch, const PatchGrid& grid, double ratio, AudioMaskMode mode,
                     torch::Generator generator) {
  const torch::NoGradGuard no_grad;
  const auto order = ascending(draw(batch, grid, ratio, mode, generator));  // int64 [B, L]
  return mask_by_order(order, ratio);
}

}  // namespace cavmae
