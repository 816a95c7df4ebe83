#include "cavmae/losses/pretraining.h"

#include <cmath>
#include <string>

#include "cavmae/core/error.h"
#include "cavmae/losses/reconstruction.h"

namespace cavmae {

void ObjectiveOptions::validate() const {
  std::string bad;
  const auto require = [&](bool good, const char* field, double value, const char* allowed) {
    if (!good) bad += concat("\n  ", field, " is ", value, ", it must be ", allowed);
  };
  const auto is_weight = [](double w) { return std::isfinite(w) && w >= 0; };
  require(is_weight(contrastive_weight), "contrastive_weight", contrastive_weight, "0 or more");
  require(is_weight(reconstruction_weight), "reconstruction_weight", reconstruction_weight, "0 or more");
  require(std::isfinite(contrastive.temperature) && contrastive.temperature > 0, "temperature",
          contrastive.temperature, "above 0");
  CAVMAE_CHECK_AS(ConfigError, bad.empty(), "the objective cannot be used:", bad);
}

torch::Tensor hidden_targets(const torch::Tensor& patches, const torch::Tensor& hidden,
                             const ObjectiveOptions& options) {
  const torch::NoGradGuard no_grad;
  const int64_t clips = patches.size(0), length = patches.size(1);
  const auto first_row = torch::arange(clips, hidden.options()).mul_(length).unsqueeze(1);  // [B, 1]
  const auto targets = patches.reshape({clips * length, -1})
                           .index_select(0, (hidden + first_row).flatten())
                           .view({clips, hidden.size(1), -1});
  return options.normalize_targets ? normalize_patches(targets) : targets;
}

}  // namespace cavmae
