// The layers and parameters of CavMae, registered under the names of the authors' checkpoints. Private to the
// files that implement the class.
#pragma once

#include "cavmae/models/cav_mae.h"
#include "cavmae/nn/layer_norm.h"
#include "cavmae/nn/linear.h"
#include "cavmae/nn/patch_embedding.h"
#include "cavmae/nn/transformer_block.h"

namespace cavmae {

PatchGrid audio_grid(const CavMaeConfig& config);
PatchGrid video_grid(const CavMaeConfig& config);

// What a configuration lacks stays undefined and is not registered.
struct CavMaeImpl::Parts {
  Parts(CavMaeImpl& owner, const CavMaeConfig& config);

  torch::Tensor modality_a, modality_v;    // float [1, 1, D]
  torch::Tensor pos_embed_a, pos_embed_v;  // float [1, L, D]
  torch::Tensor cls_token_a, cls_token_v;  // float [1, 1, D]
  torch::Tensor register_tokens;           // float [2R, D], audio's before video's; of one modality [R, D]
  PatchEmbedding patch_embed_a{nullptr}, patch_embed_v{nullptr};
  BlockStack blocks_a{nullptr}, blocks_v{nullptr}, blocks_u{nullptr};
  LayerNorm norm_a{nullptr}, norm_v{nullptr}, norm{nullptr};

  torch::Tensor mask_token, decoder_modality_a, decoder_modality_v;  // float [1, 1, E]
  torch::Tensor decoder_pos_embed_a, decoder_pos_embed_v;            // float [1, L, E]
  Linear decoder_embed{nullptr};
  BlockStack decoder_blocks{nullptr};
  LayerNorm decoder_norm{nullptr};
  Linear decoder_pred_a{nullptr}, decoder_pred_v{nullptr};

 private:
  void register_embeddings(CavMaeImpl& owner, const CavMaeConfig& config);
  void register_encoders(CavMaeImpl& owner, const CavMaeConfig& config);
  void register_decoder(CavMaeImpl& owner, const CavMaeConfig& config);
};

}  // namespace cavmae
