// A transformer block by its definition, in plain operators on named parameters: the twin of cavmae/nn.
#pragma once

#include <cmath>
#include <string>

#include "cavmae/core/torch.h"

namespace cavmae::testing_support {

using Parameters = torch::OrderedDict<std::string, torch::Tensor>;

inline torch::Tensor plain_linear(const Parameters& p, const std::string& name, const torch::Tensor& x) {
  return x.matmul(p[name + ".weight"].t()) + p[name + ".bias"];
}

inline torch::Tensor plain_norm(const Parameters& p, const std::string& name, const torch::Tensor& x) {
  const auto centred = x - x.mean(-1, true);
  return centred / (centred.square().mean(-1, true) + 1e-5).sqrt() * p[name + ".weight"] + p[name + ".bias"];
}

struct PlainBlockOptions {
  int64_t heads = 1;
  std::string norms = {};  // "", "_a" or "_v"
};

// `prefix`: "blocks_a.0." or "".
inline torch::Tensor plain_block(const Parameters& p, const std::string& prefix, const torch::Tensor& x,
                                 const PlainBlockOptions& options) {
  const int64_t clips = x.size(0), length = x.size(1), head_width = x.size(2) / options.heads;
  const auto qkv = plain_linear(p, prefix + "attn.qkv", plain_norm(p, prefix + "norm1" + options.norms, x))
                       .view({clips, length, 3, options.heads, head_width})
                       .permute({2, 0, 3, 1, 4});
  const auto products = qkv[0].matmul(qkv[1].transpose(2, 3)) / std::sqrt(static_cast<double>(head_width));
  const auto mixed = products.softmax(-1).matmul(qkv[2]).transpose(1, 2).reshape(x.sizes());
  const auto attended = x + plain_linear(p, prefix + "attn.proj", mixed);
  const auto hidden =
      plain_linear(p, prefix + "mlp.fc1", plain_norm(p, prefix + "norm2" + options.norms, attended));
  const auto activated = hidden * 0.5 * (1 + (hidden / std::sqrt(2.0)).erf());
  return attended + plain_linear(p, prefix + "mlp.fc2", activated);
}

}  // namespace cavmae::testing_support
