// Masks that keep the patches that rank highest. Free functions, safe from several threads.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cavmae/core/torch.h"
#include "cavmae/nn/masking.h"

namespace cavmae {

// top: by score; sampled: drawn without replacement, the likelier the higher the score.
enum class Ranking { top, sampled };
inline std::vector<std::pair<Ranking, std::string>> option_names(Ranking) {
  return {{Ranking::top, "top"}, {Ranking::sampled, "sampled"}};
}

// The patches of each clip, the first one first. scores: float [B, L] -> int64 [B, L], on the CPU.
// Note [Sampled ranking]: scores are attention weights of a few hundredths, which a softmax would hardly tell
// apart; they are scaled to mean 0 and deviation 1 a clip. With Gumbel noise g, the order of
// log softmax(score / temperature) + g is that of draws without replacement. The noise comes from
// `generator`.
torch::Tensor rank_patches(const torch::Tensor& scores, Ranking ranking, double temperature,
                           torch::Generator generator);

// Keeps the first int(L * (1 - ratio)) of each clip's order. order: int64 [B, L], a permutation a row
StreamMask mask_by_order(const torch::Tensor& order, double ratio);

}  // namespace cavmae
