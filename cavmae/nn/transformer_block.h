// Pre-norm transformer blocks with several sets of layer norms, one a kind of stream, as CAV-MAE's joint
// layers have them, and stacks of such blocks. Parameter names are those of the authors' checkpoints.
// Modules: forward calls from several threads are safe while nobody changes the parameters.
#pragma once

#include <vector>

#include "cavmae/core/torch.h"
#include "cavmae/nn/block.h"
#include "cavmae/nn/compute.h"
#include "cavmae/nn/layer_norm.h"
#include "cavmae/nn/linear.h"

namespace cavmae {

// Which layer norms a stream takes: norm1, norm1_a or norm1_v (and norm2 likewise).
enum class NormSet { joint = 0, audio = 1, video = 2 };

struct BlockOptions {
  int64_t width = 0;
  int64_t heads = 0;
  double mlp_ratio = 4.0;
  std::vector<NormSet> norms = {NormSet::joint};  // in the order of NormSet

  int64_t mlp_width() const { return static_cast<int64_t>(static_cast<double>(width) * mlp_ratio); }
};

class AttentionImpl : public torch::nn::Module {
 public:
  AttentionImpl(int64_t width, int64_t heads);
  // x: float [B, L, D] -> [B * L, D], float or, of library kernels in bf16, bf16
  torch::Tensor forward(const torch::Tensor& x, const Compute& how);
  // Of the tokens `ids` alone, each seeing all. ids: int64 [B, M] -> [B * M, D]
  torch::Tensor forward_picked(const torch::Tensor& x, const torch::Tensor& ids, const Compute& how);
  // After the softmax, rows are queries: float [B, H, L, L]
  torch::Tensor weights(const torch::Tensor& x, const Compute& how);
  void add_to(BlockParameters& parameters) const;

 private:
  int64_t width_, heads_;
  Linear qkv_{nullptr}, proj_{nullptr};
};
TORCH_MODULE(Attention);

class MlpImpl : public torch::nn::Module {
 public:
  MlpImpl(int64_t width, int64_t hidden_width);
  // x: float [n, D] -> [n, D], float or bf16 likewise
  torch::Tensor forward(const torch::Tensor& x, const Compute& how);
  void add_to(BlockParameters& parameters) const;

 private:
  Linear fc1_{nullptr}, fc2_{nullptr};
};
TORCH_MODULE(Mlp);

// x + attention(norm1(x)), then x + mlp(norm2(x)). In one fused piece, or in plain operators, its twin.
class BlockImpl : public torch::nn::Module {
 public:
  explicit BlockImpl(const BlockOptions& options);
  // x: float [B, L, D] -> float [B, L, D]
  torch::Tensor forward(const torch::Tensor& x, NormSet norms, const Compute& how);
  // What forward gives at the tokens `ids`, without computing it at the others. ids: int64 [B, M], each once
  // a clip -> float [B, M, D]
  torch::Tensor forward_picked(const torch::Tensor& x, const torch::Tensor& ids, NormSet norms,
                               const Compute& how);
  // The attention of what forward would compute: float [B, H, L, L], rows are queries.
  torch::Tensor attention_weights(const torch::Tensor& x, NormSet norms, const Compute& how);

 private:
  LayerNorm& norm(std::vector<LayerNorm>& of_set, NormSet norms);
  BlockParameters parameters_for_kernels(NormSet norms);
  torch::Tensor add_mlp(const torch::Tensor& x1, NormSet norms, const Compute& how);

  std::vector<LayerNorm> norm1_, norm2_;  // by NormSet; empty where a set is not registered
  Attention attention_{nullptr};
  Mlp mlp_{nullptr};
};
TORCH_MODULE(Block);

// Blocks one after another, named 0, 1, ...
class BlockStackImpl : public torch::nn::Module {
 public:
  BlockStackImpl(int64_t depth, const BlockOptions& options);
  // Without tokens (L = 0) there is nothing to do.
  torch::Tensor forward(torch::Tensor x, NormSet norms, const Compute& how);
  // The last block at the tokens `ids` alone; with no blocks, these tokens.
  torch::Tensor forward_picked(torch::Tensor x, const torch::Tensor& ids, NormSet norms, const Compute& how);
  // The last block's attention: float [B, H, L, L], rows are queries. There has to be a block.
  torch::Tensor attention_weights(torch::Tensor x, NormSet norms, const Compute& how);
  int64_t depth() const { return static_cast<int64_t>(blocks_.size()); }

 private:
  std::vector<Block> blocks_;
};
TORCH_MODULE(BlockStack);

}  // namespace cavmae
