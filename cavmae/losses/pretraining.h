// The settings of the pretraining objective and its targets: L_r + lambda_c L_c of Gong et al., ICLR 2023,
// L = reconstruction_weight * (L_audio + L_video) + contrastive_weight * L_contrastive. Free functions.
#pragma once

#include <optional>

#include "cavmae/core/torch.h"
#include "cavmae/losses/contrastive.h"

namespace cavmae {

struct ObjectiveOptions {
  double contrastive_weight = 0.01;
  double reconstruction_weight = 1.0;
  ContrastiveOptions contrastive = {};
  bool normalize_targets = true;
  // Note [Dual path]: with it the contrastive loss has a pass of its own through the encoders, in which this
  // share of either modality's patches is masked (TG-DP, CVPR 2026).
  std::optional<double> contrastive_mask_ratio = std::nullopt;

  // Files of before these fields do not have them.
  static constexpr const char* kAbsentByDefault[] = {"contrastive_mask_ratio"};

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("contrastive_weight", o.contrastive_weight, "weight of the contrastive loss");
    v("reconstruction_weight", o.reconstruction_weight, "weight of the reconstruction loss");
    v("contrastive", o.contrastive, "the contrastive loss");
    v("normalize_targets", o.normalize_targets,
      "rebuild patches normalised one by one instead of plain values");
    v("contrastive_mask_ratio", o.contrastive_mask_ratio,
      "share of the patches that is masked in a pass of the contrastive loss's own ('none': it takes that of "
      "reconstruction)");
  }

  // One ConfigError listing every bad field.
  void validate() const;
};

// What the decoder has to rebuild: the patches that `masked` names, normalised one by one if the options say
// so. It takes no gradient. patches: float [B, L, n]; masked: int64 [B, M], e.g. StreamMask::masked
// -> float [B, M, n]
torch::Tensor masked_targets(const torch::Tensor& patches, const torch::Tensor& masked,
                             const ObjectiveOptions& options);

}  // namespace cavmae
