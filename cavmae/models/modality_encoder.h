// The encoder of one modality: patches become tokens, which go through its own layers with the learned tokens
// beside them. Private to the files that implement CavMae.
#pragma once

#include "cavmae/nn/masking.h"
#include "cavmae/nn/patch_embedding.h"
#include "cavmae/nn/profile_range.h"
#include "cavmae/nn/profile_ranges.h"
#include "cavmae/nn/transformer_block.h"

namespace cavmae {

struct ModalityEncoder {
  const char* range_name;
  PatchEmbedding& embedding;
  BlockStack& blocks;
  const torch::Tensor& positions;     // float [1, L, D]
  const torch::Tensor& modality;      // float [1, 1, D]
  const torch::Tensor& global_token;  // float [1, 1, D]; undefined: none
  torch::Tensor registers;            // float [R, D]; undefined: none
  const Compute& how;

  // The patches that the mask keeps, all without one, embedded with their positions: float [B, N, D].
  // patches: float [B, L, C*P*P], channels first
  torch::Tensor embed(const torch::Tensor& patches, const StreamMask& mask) const {
    const ProfileRange range(ranges::kEmbedding);
    if (!mask.keep.defined()) return embedding(patches, how) + (positions + modality);
    const auto kept_positions = positions.squeeze(0).index_select(0, mask.keep.flatten());  // [B * N, D]
    const auto kept = embedding(pick_tokens(patches, mask.keep), how);
    return kept + kept_positions.view(kept.sizes()) + modality;
  }

  // [global | patches | registers] through the layers, without the registers: float [B, 1 + N, D], or [B, N,
  // D] without a global token. tokens: float [B, N, D]
  torch::Tensor encode(const torch::Tensor& tokens) const {
    const ProfileRange range(range_name);
    const torch::Tensor out = blocks(with_learned_tokens(tokens), NormSet::joint, how);
    return registers.defined() ? out.narrow(1, 0, out.size(1) - registers.size(0)) : out;
  }

 private:
  torch::Tensor with_learned_tokens(const torch::Tensor& tokens) const {
    if (!global_token.defined() && !registers.defined()) return tokens;
    const int64_t clips = tokens.size(0), width = tokens.size(2);
    std::vector<torch::Tensor> parts;
    if (global_token.defined()) parts.push_back(global_token.expand({clips, 1, width}));
    parts.push_back(tokens);
    if (registers.defined()) parts.push_back(registers.unsqueeze(0).expand({clips, -1, width}));
    return at::cat(parts, 1);
  }
};

}  // namespace cavmae
