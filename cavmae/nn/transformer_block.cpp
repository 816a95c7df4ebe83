#include "cavmae/nn/transformer_block.h"

#include <cmath>
#include <string>

#include "cavmae/core/error.h"
#include "cavmae/nn/attention.h"
#include "cavmae/nn/fused_block.h"
#include "cavmae/nn/patches.h"
#include "cavmae/nn/profile_range.h"
#include "cavmae/nn/profile_ranges.h"

namespace cavmae {
namespace {

constexpr int64_t kNumNormSets = 3;

std::string suffix(NormSet norms) {
  switch (norms) {
    case NormSet::joint:
      return "";
    case NormSet::audio:
      return "_a";
    case NormSet::video:
      return "_v";
  }
  throw Error("no such set of layer norms");
}

torch::Tensor rows(const torch::Tensor& x) {  // [B, L, D] -> [B * L, D]
  return x.reshape({-1, x.size(-1)});
}

template <class... Arguments>
torch::Tensor timed_attention(Kernels kernels, const Arguments&... arguments) {
  const ProfileRange range(ranges::kAttentionMatmul);
  return kernels == Kernels::library ? attention_library(arguments...) : attention(arguments...);
}

// y + residual, into y where it can hold the sum: it is what a layer returned, which nothing else needs.
torch::Tensor add_residual(torch::Tensor y, const torch::Tensor& residual) {
  return y.scalar_type() == residual.scalar_type() ? y.add_(residual) : residual + y;
}

}  // namespace

AttentionImpl::AttentionImpl(int64_t width, int64_t heads)
    : width_(width),
      heads_(heads),
      qkv_(register_module("qkv", Linear(width, 3 * width))),
      proj_(register_module("proj", Linear(width, width))) {}

// Products are taken of rows, [n, D]: what LibTorch makes of three dimensions is a view, and adding to a view
// in place would cost a copy in the backward pass.
torch::Tensor AttentionImpl::forward(const torch::Tensor& x, const Compute& how) {
  const auto qkv = qkv_(rows(x), how, ResultType::as_computed).view({x.size(0), x.size(1), 3 * width_});
  return proj_(rows(timed_attention(kernels_for(x, how), qkv, heads_)), how, ResultType::as_computed);
}

torch::Tensor AttentionImpl::forward_picked(const torch::Tensor& x, const torch::Tensor& ids,
                                            const Compute& how) {
  const auto weights = qkv_->weight.split_with_sizes({width_, 2 * width_});
  const auto biases = qkv_->bias.split_with_sizes({width_, 2 * width_});
  const auto part = [&](const torch::Tensor& of, size_t i) {
    return unfused_linear(of, weights[i], biases[i], how, ResultType::as_computed);
  };
  const auto queries = part(pick_tokens(x, ids), 0), kv = part(x, 1);
  return proj_(rows(timed_attention(kernels_for(x, how), queries, kv, heads_)), how, ResultType::as_computed);
}

torch::Tensor AttentionImpl::weights(const torch::Tensor& x, const Compute& how) {
  const int64_t head_width = width_ / heads_;
  const auto qkv = qkv_(rows(x), how, ResultType::fp32).view({x.size(0), x.size(1), 3, heads_, head_width});
  const auto of_heads = [&](int64_t i) { return qkv.select(2, i).transpose(1, 2); };  // [B, H, L, d]
  const auto scores = of_heads(0).matmul(of_heads(1).transpose(-2, -1));
  return (scores / std::sqrt(static_cast<double>(head_width))).softmax(-1);
}

void AttentionImpl::add_to(BlockParameters& parameters) const {
  parameters.qkv = qkv_->parameters_for_kernels();
  parameters.proj = proj_->parameters_for_kernels();
  parameters.heads = heads_;
}

MlpImpl::MlpImpl(int64_t width, int64_t hidden_width)
    : fc1_(register_module("fc1", Linear(width, hidden_width))),
      fc2_(register_module("fc2", Linear(hidden_width, width))) {}

torch::Tensor MlpImpl::forward(const torch::Tensor& x, const Compute& how) {
  return fc2_(at::gelu(fc1_(x, how, ResultType::as_computed)), how, ResultType::as_computed);
}

void MlpImpl::add_to(BlockParameters& parameters) const {
  parameters.fc1 = fc1_->parameters_for_kernels();
  parameters.fc2 = fc2_->parameters_for_kernels();
}

BlockImpl::BlockImpl(const BlockOptions& options) {
  const auto register_norms = [&](const std::string& name) {
    std::vector<LayerNorm> of_set(kNumNormSets, LayerNorm{nullptr});
    for (const NormSet norms : options.norms)
      of_set[static_cast<size_t>(norms)] = register_module(name + suffix(norms), LayerNorm(options.width));
    return of_set;
  };
  norm1_ = register_norms("norm1");
  attention_ = register_module("attn", Attention(options.width, options.heads));
  norm2_ = register_norms("norm2");
  mlp_ = register_module("mlp", Mlp(options.width, options.mlp_width()));
}

LayerNorm& BlockImpl::norm(std::vector<LayerNorm>& of_set, NormSet norms) {
  auto& chosen = of_set[static_cast<size_t>(norms)];
  CAVMAE_CHECK(!chosen.is_empty(), "this block has no layer norms 'norm1", suffix(norms), "'");
  return chosen;
}

BlockParameters BlockImpl::parameters_for_kernels(NormSet norms) {
  BlockParameters parameters;
  const LayerNorm &norm1 = norm(norm1_, norms), &norm2 = norm(norm2_, norms);
  parameters.norm1 = {norm1->weight, norm1->bias};
  parameters.norm2 = {norm2->weight, norm2->bias};
  attention_->add_to(parameters);
  mlp_->add_to(parameters);
  return parameters;
}

// x1: float [n, D]
torch::Tensor BlockImpl::add_mlp(const torch::Tensor& x1, NormSet norms, const Compute& how) {
  const ProfileRange range(ranges::kMlp);
  return add_residual(mlp_(norm(norm2_, norms)(x1), how), x1);
}

torch::Tensor BlockImpl::forward(const torch::Tensor& x, NormSet norms, const Compute& how) {
  if (kernels_for(x, how) == Kernels::fused)
    return fused_block(x, torch::Tensor(), parameters_for_kernels(norms), how);
  torch::Tensor x1;
  {
    const ProfileRange range(ranges::kAttention);
    x1 = add_residual(attention_(norm(norm1_, norms)(x), how), rows(x));
  }
  return add_mlp(x1, norms, how).view(x.sizes());
}

torch::Tensor BlockImpl::forward_picked(const torch::Tensor& x, const torch::Tensor& ids, NormSet norms,
                                        const Compute& how) {
  if (kernels_for(x, how) == Kernels::fused) return fused_block(x, ids, parameters_for_kernels(norms), how);
  torch::Tensor x1;
  {
    const ProfileRange range(ranges::kAttention);
    x1 =
        add_residual(attention_->forward_picked(norm(norm1_, norms)(x), ids, how), rows(pick_tokens(x, ids)));
  }
  return add_mlp(x1, norms, how).view({ids.size(0), ids.size(1), x.size(2)});
}

torch::Tensor BlockImpl::attention_weights(const torch::Tensor& x, NormSet norms, const Compute& how) {
  return attention_->weights(norm(norm1_, norms)(x), how);
}

BlockStackImpl::BlockStackImpl(int64_t depth, const BlockOptions& options) {
  for (int64_t i = 0; i < depth; ++i) blocks_.push_back(register_module(std::to_string(i), Block(options)));
}

torch::Tensor BlockStackImpl::forward(torch::Tensor x, NormSet norms, const Compute& how) {
  if (x.size(1) == 0) return x;  // a stream that is masked wholly
  for (auto& block : blocks_) x = block(x, norms, how);
  return x;
}

torch::Tensor BlockStackImpl::attention_weights(torch::Tensor x, NormSet norms, const Compute& how) {
  CAVMAE_CHECK(!blocks_.empty(), "no block whose attention could be asked for");
  for (size_t i = 0; i + 1 < blocks_.size(); ++i) x = blocks_[i](x, norms, how);
  return blocks_.back()->attention_weights(x, norms, how);
}

torch::Tensor BlockStackImpl::forward_picked(torch::Tensor x, const torch::Tensor& ids, NormSet norms,
                                             const Compute& how) {
  if (blocks_.empty() || ids.size(1) == 0) return pick_tokens(x, ids);
  for (size_t i = 0; i + 1 < blocks_.size(); ++i) x = blocks_[i](x, norms, how);
  return blocks_.back()->forward_picked(x, ids, norms, how);
}

}  // namespace cavmae
