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

// One of queries, keys, values or their gradients, in whatever memory it lies: [B, L, H * d] whose last
// dimension is dense.
class HeadRows {
 public:
  HeadRows(const torch::Tensor& x, int64_t heads)
      : x_(x), heads_(heads), width_(x.size(2) / heads), length_(x.size(1)) {}

  int64_t clips() const { return x_.size(0); }
  int64_t heads() const { return heads_; }
  int64_t width() const { return width_; }  // d
  int64_t length() const { return length_; }
  torch::TensorOptions options() const { return x_.options(); }
  void zero() const { torch::Tensor(x_).zero_(); }

  // Rows of head `i` of all clips' heads, [n, d] and transposed [d, n].
  torch::Tensor rows(int64_t i, int64_t first, int64_t n) const {
    return at::as_strided(x_, {n, width_}, {x_.stride(1), 1}, offset(i, first));
  }
  torch::Tensor all(int64_t i) const { return rows(i, 0, length_); }
  torch::Tensor all_transposed(int64_t i) const {
    return at::as_strided(x_, {width_, length_}, {1, x_.stride(1)}, offset(i, 0));
  }

 private:
  int64_t offset(int64_t i, int64_t row) const {
    return x_.storage_offset() + i / heads_ * x_.stride(0) + row * x_.stride(1) + i % heads_ * width_;
  }

  torch::Tensor x_;
  int64_t heads_, width_, length_;
};

struct Heads {
  HeadRows queries, keys, values;  // [B, M, H * d], [B, L, H * d], [B, L, H * d]

  Heads(const torch::Tensor& q, const torch::Tensor& kv, int64_t heads)
      : queries(q, heads),
        keys(kv.narrow(2, 0, q.size(2)), heads),
        values(kv.narrow(2, q.size(2), q.size(2)), heads) {}

  int64_t count() const { return queries.clips() * queries.heads(); }
  double scale() const { return 1.0 / std::sqrt(static_cast<double>(queries.width())); }
};

// Calls work(i, first row, rows) for every tile of queries of the heads begin..end.
template <class Work>
void for_each_tile(int64_t begin, int64_t end, int64_t rows, const Work& work) {
  for (int64_t i = begin; i < end; ++i)
    for (int64_t row = 0; row < rows; row += kTileRows) work(i, row, std::min(kTileRows, rows - row));
}

// The weights of a tile, into `weights` [rows, L].
void softmax_of_products(torch::Tensor& weights, const torch::Tensor& queries,
                         const torch::Tensor& keys_transposed, double scale) {
  at::addmm_out(weights, weights, queries, keys_transposed, /*beta=*/0, /*alpha=*/scale);
  at::_softmax_out(weights, weights, 1, /*half_to_float=*/false);
}

torch::Tensor attend(const Heads& in) {
  const int64_t rows = in.queries.length(), length = in.keys.length();
  auto result =
      at::empty({in.queries.clips(), rows, in.queries.heads() * in.queries.width()}, in.queries.options());
  const HeadRows out(result, in.queries.heads());
  at::parallel_for(0, in.count(), 1, [&](int64_t begin, int64_t end) {
    const at::AutoDispatchBelowADInplaceOrView plain_operators;  // nothing here is recorded
    const auto scratch = at::empty({std::min(kTileRows, rows), length}, in.queries.options());
    for_each_tile(begin, end, rows, [&](int64_t i, int64_t row, int64_t n) {
      auto weights = scratch.narrow(0, 0, n), tile = out.rows(i, row, n);
      softmax_of_products(weights, in.queries.rows(i, row, n), in.keys.all_transposed(i), in.scale());
      at::mm_out(tile, weights, in.values.all(i));
    });
  });
  return result;
}

// The gradients of queries, keys and values into `out`, from that of the result.
void attend_backward(const Heads& in, const HeadRows& gradient, const Heads& out) {
  const int64_t rows = in.queries.length(), length = in.keys.length();
  if (rows == 0) {
    out.keys.zero();
    out.values.zero();
  }
  at::parallel_for(0, in.count(), 1, [&](int64_t begin, int64_t end) {
    const at::AutoDispatchBelowADInplaceOrView plain_operators;
    const auto scratch = at::empty({2, std::min(kTileRows, rows), length}, in.queries.options());
    for_each_tile(begin, end, rows, [&](int64_t i, int64_t row, int64_t n) {
      auto weights = scratch[0].narrow(0, 0, n), of_weights = scratch[1].narrow(0, 0, n);
      const auto queries = in.queries.rows(i, row, n), of_result = gradient.rows(i, row, n);
      auto of_queries = out.queries.rows(i, row, n), of_keys = out.keys.all(i), of_values = out.values.all(i);
      const double before = row == 0 ? 0.0 : 1.0;  // keys and values gather over the tiles
      softmax_of_products(weights, queries, in.keys.all_transposed(i), in.scale());
      at::addmm_out(of_values, of_values, weights.t(), of_result, before, 1);
      at::mm_out(of_weights, of_result, in.values.all_transposed(i));
      at::_softmax_backward_data_out(of_weights, of_weights, weights, 1, torch::kFloat32);
      at::addmm_out(of_queries, of_queries, of_weights, in.keys.all(i), 0, in.scale());
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
    attend_backward(views(qkv, heads), HeadRows(gradients[0].contiguous(), heads), views(of_qkv, heads));
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
    attend_backward({saved[0], saved[1], heads}, HeadRows(gradients[0].contiguous(), heads),
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
  const int64_t width = queries.size(2);
  const auto split = [&](const torch::Tensor& x) {  // [B, L, H * d] -> [B, H, L, d]
    return x.view({x.size(0), x.size(1), heads, width / heads}).transpose(1, 2);
  };
  const double scale = 1.0 / std::sqrt(static_cast<double>(width / heads));
  const auto products = split(queries).matmul(split(kv.narrow(2, 0, width)).transpose(2, 3)) * scale;
  return products.softmax(-1)
      .matmul(split(kv.narrow(2, width, width)))
      .transpose(1, 2)
      .reshape(queries.sizes());
}

}  // namespace cavmae
