// How much arithmetic a pass through a network needs, by part. Free functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cavmae/models/cav_mae_config.h"
#include "cavmae/nn/masking.h"

namespace cavmae {

// Note [Counted arithmetic]: what is counted is what the result needs, whatever an implementation computes
// besides: the products of matrices alone (two operations for a multiplication with its addition), of visible
// patches in the encoders, and in the decoder's last layer of masked patches but for its keys and values. The
// backward pass takes twice the forward pass, once for each factor's gradient; patches take no gradient, so
// that their embedding takes once as much. Nothing is counted for recomputation.

// Of one clip, in operations; `part` as a RangeTimer calls it: "decoder/attention/matmul".
struct PartFlops {
  std::string part;
  double forward = 0.0;
  double backward = 0.0;
};

// What a teacher's pass over unmasked patches is for: ranking by attention to the global token, and that
// token itself.
struct TeacherUse {
  bool ranks = false, distills = false;
};

// A pretraining step with both losses, as far as the network has them; with a ratio of its own for the
// contrastive loss (Note [Dual path]) both passes, and what a teacher needs beside them.
std::vector<PartFlops> pretraining_flops(const CavMaeConfig& config, const MaskOptions& masks,
                                         std::optional<double> contrastive_mask_ratio = std::nullopt,
                                         const TeacherUse& teacher = {});
// Features of a clip's sound and of `num_pictures` of its pictures: no backward pass. The sound is computed
// once, or once a segment that differs, unless the network knows the two joined only.
std::vector<PartFlops> embedding_flops(const CavMaeConfig& config, int64_t num_pictures = 1);
// A fine-tuning step with a linear head over `num_classes` on the pooled output of both modalities: the joint
// stream, or where the network has none the two single ones.
std::vector<PartFlops> fine_tuning_flops(const CavMaeConfig& config, int64_t num_classes);

double total_flops(const std::vector<PartFlops>& parts);

}  // namespace cavmae
