#include "cavmae/nn/attention.h"

#include <algorithm>
#include <cmath>

#include <ATen/Parallel.h>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kTileRows = 128;  // 128 x 708 floats fill two thirds of a 512 kB cache

// One of queries, keys, values or their gradients: [B, H, L, d] in whatever memory it lies.
torch::Tensor split_heads(const torch::Tensor& x, int64_t heads) {
  const int64_t width = x.size(2);
  return x.view({x.size(0), x.size(1), heads, width / heads}).transpose(1, 2);
}

struct Heads {
  torch::Tensor queries, keys, values;  // [B, H, M, d], [B, H, L, d], [B, H, L, d]

  Heads(const torch::Tensor& q, const torch::Tensor& kv, int64_t heads)
      : queries(split_heads(q, heads)),
        keys(split_heads(kv.narrow(2, 0, q.size(2)), heads)),
        values(split_heads(kv.narrow(2, q.size(2), q.size(2)), heads)) {}

  int64_t count() const { return queries.size(0) * queries.size(1); }
  double scale() const { return 1.0 / std::sqrt(static_cast<double>(queries.size(3))); }
};

// [M, d] of head `i` of all clips.
torch::Tensor head(const torch::Tensor& x, int64_t i) {
  return x.select(0, i / x.size(1)).select(0, i % x.size(1));
}

// Calls work(i, first row, rows) for every tile of queries of the heads begin..end.
template <class Work>
void for_each_tile(int64_t begin, int64_t end, int64_t rows, const Work& work) {
  for (int64_t i = begin; i < end; ++i)
    for (int64_t row = 0; row < rows; row += kTileRows) work(i, row, std::min(kTileRows, rows - row));
}

// The weights of a tile, into `weights` [rows, L].
void softmax_of_products(torch::Tensor& weights, const torch::Tensor& queries, const torch::Tensor& keys,
                         double scale) {
  at::addmm_out(weights, weights, queries, keys.t(), /*beta=*/0, /*alpha=*/scale);
  at::_softmax_out(weights, weights, 1, /*half_to_float=*/false);
}

torch::Tensor attend(const Heads& in) {
  const int64_t clips = in.queries.size(0), heads = in.queries.size(1), rows = in.queries.size(2);
  auto result = at::empty({clips, rows, heads * in.queries.size(3)}, in.queries.options());
  const auto out = split_heads(result, heads);
  at::parallel_for(0, in.count(), 1, [&](int64_t begin, int64_t end) {
    const torch::NoGradGuard no_grad;
    const auto scratch = at::empty({std::min(kTileRows, rows), in.keys.size(2)}, in.queries.options());
    for_each_tile(begin, end, rows, [&](int64_t i, int64_t row, int64_t n) {
      auto weights = scratch.narrow(0, 0, n);
      softmax_of_products(weights, head(in.queries, i).narrow(0, row, n), head(in.keys, i), in.scale());
      auto tile = head(out, i).narrow(0, row, n);
      at::mm_out(tile, weights, head(in.values, i));
    });
  });
  return result;
}

// The gradients of queries, keys and values into `out`, from that of the result, [B, H, M, d].
void attend_backward(const Heads& in, const torch::Tensor& gradient, const Heads& out) {
  const int64_t rows = in.queries.size(2), length = in.keys.size(2);
  if (rows == 0) {
    out.keys.zero_();
    out.values.zero_();
  }
  at::parallel_for(0, in.count(), 1, [&](int64_t begin, int64_t end) {
    const torch::NoGradGuard no_grad;
    const auto scratch = at::empty({2, std::min(kTileRows, rows), length}, in.queries.options());
    for_each_tile(begin, end, rows, [&](int64_t i, int64_t row, int64_t n) {
      auto weights = scratch[0].narrow(0, 0, n), of_weights = scratch[1].narrow(0, 0, n);
      const auto queries = head(in.queries, i).narrow(0, row, n), keys = head(in.keys, i);
      const auto of_result = head(gradient, i).narrow(0, row, n);
      auto of_queries = head(out.queries, i).narrow(0, row, n), of_keys = head(out.keys, i),
           of_values = head(out.values, i);
      const double before = row == 0 ? 0.0 : 1.0;  // keys and values gather over the tiles
      softmax_of_products(weights, queries, keys, in.scale());
      at::addmm_out(of_values, of_values, weights.t(), of_result, before, 1);
      at::mm_out(of_weights, of_result, head(in.values, i).t());
      at::_softmax_backward_data_out(of_weights, of_weights, weights, 1, torch::kFloat32);
      at::addmm_out(of_queries, of_queries, of_weights, keys, 0, in.scale());
      at::addmm_out(of_keys, of_keys, of_weights.t(), queries, before, in.scale());
    });
  });
}

// Queries, keys and values in one tensor: the gradient is written into one, too.
class PackedAttention : public torch::autograd::Function<PackedAttention> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& qkv, int64_t heads) {
    context->save_for_backward({qkv});
    context->saved_data["heads"] = heads;
    return attend(views(qkv, heads));
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto qkv = context->get_saved_variables()[0];
    const int64_t heads = context->saved_data["heads"].toInt();
    auto of_qkv = at::empty_like(qkv);
    attend_backward(views(qkv, heads), split_heads(gradients[0].contiguous(), heads), views(of_qkv, heads));
    return {of_qkv, {}};
  }

 private:
  static Heads views(const torch::Tensor& qkv, int64_t heads) {
    const int64_t width = qkv.size(2) / 3;
    return {qkv.narrow(2, 0, width), qkv.narrow(2, width, 2 * width), heads};
  }
};

class CrossAttention : public torch::autograd::Function<CrossAttention> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& queries,
                               const torch::Tensor& kv, int64_t heads) {
    context->save_for_backward({queries, kv});
    context->saved_data["heads"] = heads;
    return attend({queries, kv, heads});
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const int64_t heads = context->saved_data["heads"].toInt();
    auto of_queries = at::empty_like(saved[0]), of_kv = at::empty_like(saved[1]);
    attend_backward({saved[0], saved[1], heads}, split_heads(gradients[0].contiguous(), heads),
                    {of_queries, of_kv, heads});
    return {of_queries, of_kv, {}};
  }
};

}  // namespace

torch::Tensor attention(const torch::Tensor& qkv, int64_t heads) {
  const int64_t width = qkv.size(2) / 3;
  if (!qkv.is_cpu()) return attention_plain(qkv.narrow(2, 0, width), qkv.narrow(2, width, 2 * width), heads);
  return PackedAttention::apply(qkv.contiguous(), heads);
}

torch::Tensor attention(const torch::Tensor& queries, const torch::Tensor& kv, int64_t heads) {
  CAVMAE_CHECK(kv.size(2) == 2 * queries.size(2), "keys and values ", kv.sizes(), " do not fit the queries ",
               queries.sizes());
  if (!queries.is_cpu()) return attention_plain(queries, kv, heads);
  return CrossAttention::apply(queries.contiguous(), kv.contiguous(), heads);
}

torch::Tensor attention_plain(const torch::Tensor& queries, const torch::Tensor& kv, int64_t heads) {
  const Heads in(queries, kv, heads);
  const auto weights = (in.queries.matmul(in.keys.transpose(2, 3)) * in.scale()).softmax(-1);
  return weights.matmul(in.values).transpose(1, 2).reshape(queries.sizes());
}

}  // namespace cavmae
