#include "cavmae/losses/pretraining.h"

#include <cmath>
#include <string_view>
#include <type_traits>

#include "cavmae/core/options.h"
#include "cavmae/losses/reconstruction.h"

namespace cavmae {

void ObjectiveOptions::validate() const {
  Problems problems;
  visit(*this, [&](std::string_view name, const auto& value, const char* /*help*/) {
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, double>)
      problems.require(!name.ends_with("_weight") || (std::isfinite(value) && value >= 0), name, " is ",
                       value, ", it must be 0 or more");
  });
  problems.require(std::isfinite(contrastive.temperature) && contrastive.temperature > 0, "temperature is ",
                   contrastive.temperature, ", it must be above 0");
  problems.require(contrastive.contrastive_batch == 0 || contrastive.contrastive_batch >= 2,
                   "contrastive_batch is ", contrastive.contrastive_batch,
                   ", it must be 0 (the whole batch) or at least 2");
  const double contrastive_ratio = contrastive_mask_ratio.value_or(0.0);
  problems.require(contrastive_ratio >= 0 && contrastive_ratio < 1, "contrastive_mask_ratio is ",
                   contrastive_ratio, ", it must lie in 0 to below 1");
  const bool groups = contrastive.contrastive_batch > 0;
  problems.require(groups || contrastive.negatives != Negatives::group,
                   "negatives is 'group', and contrastive_batch, the clips of a group, is 0");
  problems.require(
      !groups || contrastive.negatives == Negatives::automatic || contrastive.negatives == Negatives::group,
      "negatives is '", enum_name(contrastive.negatives), "', and contrastive_batch (",
      contrastive.contrastive_batch, ") asks for groups; set it to 0");
  problems.throw_if_any("the objective cannot be used");
}

torch::Tensor masked_targets(const torch::Tensor& patches, const torch::Tensor& masked,
                             const ObjectiveOptions& options) {
  const torch::NoGradGuard no_grad;
  const int64_t clips = patches.size(0), length = patches.size(1);
  const auto first_row = torch::arange(clips, masked.options()).mul_(length).unsqueeze(1);  // [B, 1]
  const auto targets = patches.reshape({clips * length, -1})
                           .index_select(0, (masked + first_row).flatten())
                           .view({clips, masked.size(1), -1});
  return options.normalize_targets ? normalize_patches(targets) : targets;
}

}  // namespace cavmae
