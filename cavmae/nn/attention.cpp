#include "cavmae/nn/attention.h"

#include <cmath>

#include "cavmae/core/error.h"
#include "cavmae/core/torch_versions.h"
#include "cavmae/kernels/flash_attention.h"

namespace cavmae {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

using kernels::AttentionCall;
using kernels::Element;
using kernels::HeadsView;

// Queries, keys and values, or their gradients, as columns of two tensors or one.
struct Operands {
  torch::Tensor queries, kv;  // [B, M, H * d], [B, L, 2 * H * d], of one type, their last dimension dense

  static Operands of(const torch::Tensor& qkv) {
    const int64_t width = qkv.size(2) / 3;
    return {qkv.narrow(2, 0, width), qkv.narrow(2, width, 2 * width)};
  }
  int64_t width() const { return queries.size(2); }
};

HeadsView view(const torch::Tensor& x, int64_t first_column = 0) {
  return {static_cast<char*>(x.data_ptr()) + first_column * x.element_size(), x.stride(0), x.stride(1)};
}

AttentionCall call_of(const Operands& in, int64_t heads) {
  return {.clips = in.queries.size(0),
          .queries = in.queries.size(1),
          .keys = in.kv.size(1),
          .heads = heads,
          .head_width = in.width() / heads,
          .element = in.queries.scalar_type() == torch::kBFloat16 ? Element::bf16 : Element::f32};
}

struct AttentionResult {
  torch::Tensor out;          // [B, M, H * d]
  torch::Tensor log_sum_exp;  // float [B, H, M], undefined where nothing will need it
};

enum class Gradients { needed, none };

AttentionResult attend(const Operands& in, int64_t heads, Gradients gradients) {
  const AttentionCall call = call_of(in, heads);
  AttentionResult result;
  result.out = at::empty({call.clips, call.queries, in.width()}, in.queries.options());
  if (gradients == Gradients::needed)
    result.log_sum_exp =
        at::empty({call.clips, heads, call.queries}, in.queries.options().dtype(torch::kFloat32));
  kernels::flash_attention_forward(
      call, {.q = view(in.queries),
             .k = view(in.kv),
             .v = view(in.kv, in.width()),
             .out = view(result.out),
             .log_sum_exp = result.log_sum_exp.defined() ? result.log_sum_exp.data_ptr<float>() : nullptr});
  return result;
}

// The gradients into `out`, from that of the result.
void attend_backward(const Operands& in, const AttentionResult& result, const torch::Tensor& gradient,
                     int64_t heads, const Operands& out) {
  const torch::Tensor d_out = gradient.contiguous();
  kernels::flash_attention_backward(call_of(in, heads), {.q = view(in.queries),
                                                         .k = view(in.kv),
                                                         .v = view(in.kv, in.width()),
                                                         .out = view(result.out),
                                                         .d_out = view(d_out),
                                                         .log_sum_exp = result.log_sum_exp.data_ptr<float>(),
                                                         .d_q = view(out.queries),
                                                         .d_k = view(out.kv),
                                                         .d_v = view(out.kv, out.width())});
}

// Queries, keys and values in one tensor: the gradient is written into one, too.
class PackedAttention : public torch::autograd::Function<PackedAttention> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& qkv, int64_t heads) {
    const AttentionResult result = attend(Operands::of(qkv), heads, Gradients::needed);
    context->save_for_backward({qkv, result.out, result.log_sum_exp});
    context->saved_data["heads"] = heads;
    return result.out;
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const torch::Tensor of_qkv = at::empty_like(saved[0]);
    attend_backward(Operands::of(saved[0]), {saved[1], saved[2]}, gradients[0],
                    context->saved_data["heads"].toInt(), Operands::of(of_qkv));
    return {of_qkv, {}};
  }
};

class CrossAttention : public torch::autograd::Function<CrossAttention> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& queries,
                               const torch::Tensor& kv, int64_t heads) {
    const AttentionResult result = attend({queries, kv}, heads, Gradients::needed);
    context->save_for_backward({queries, kv, result.out, result.log_sum_exp});
    context->saved_data["heads"] = heads;
    return result.out;
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const Operands of_operands{at::empty_like(saved[0]), at::empty_like(saved[1])};
    attend_backward({saved[0], saved[1]}, {saved[2], saved[3]}, gradients[0],
                    context->saved_data["heads"].toInt(), of_operands);
    return {of_operands.queries, of_operands.kv, {}};
  }
};

bool has_kernel(const torch::Tensor& queries, int64_t heads) {
  const auto type = queries.scalar_type();
  return queries.is_cpu() && (type == torch::kFloat32 || type == torch::kBFloat16) &&
         queries.size(2) / heads <= kernels::kMaxHeadWidth;
}

torch::Tensor split_heads(const torch::Tensor& x, int64_t heads) {  // [B, L, H * d] -> [B, H, L, d]
  return x.view({x.size(0), x.size(1), heads, x.size(2) / heads}).transpose(1, 2);
}

bool needs_gradients(const torch::Tensor& x) {
  return at::GradMode::is_enabled() && x.requires_grad();
}

}  // namespace

torch::Tensor attention(const torch::Tensor& qkv, int64_t heads) {
  const Operands in = Operands::of(qkv);
  if (!has_kernel(in.queries, heads)) return attention_plain(in.queries, in.kv, heads);
  if (needs_gradients(qkv)) return PackedAttention::apply(qkv.contiguous(), heads);
  return attend(Operands::of(qkv.contiguous()), heads, Gradients::none).out;
}

torch::Tensor attention(const torch::Tensor& queries, const torch::Tensor& kv, int64_t heads) {
  CAVMAE_CHECK(kv.size(2) == 2 * queries.size(2), "keys and values ", kv.sizes(), " do not fit the queries ",
               queries.sizes());
  CAVMAE_CHECK(kv.scalar_type() == queries.scalar_type(), "keys and values of type ", kv.scalar_type(),
               " do not fit queries of type ", queries.scalar_type());
  if (!has_kernel(queries, heads)) return attention_plain(queries, kv, heads);
  if (needs_gradients(queries) || needs_gradients(kv))
    return CrossAttention::apply(queries.contiguous(), kv.contiguous(), heads);
  return attend({queries.contiguous(), kv.contiguous()}, heads, Gradients::none).out;
}

torch::Tensor attention_library(const torch::Tensor& qkv, int64_t heads) {
  const Operands in = Operands::of(qkv);
  return attention_library(in.queries, in.kv, heads);
}

torch::Tensor attention_library(const torch::Tensor& queries, const torch::Tensor& kv, int64_t heads) {
  const int64_t width = queries.size(2);
  return compat::scaled_dot_product_attention(split_heads(queries, heads),
                                              split_heads(kv.narrow(2, 0, width), heads),
                                              split_heads(kv.narrow(2, width, width), heads))
      .transpose(1, 2)
      .reshape(queries.sizes());
}

torch::Tensor attention_plain(const torch::Tensor& queries, const torch::Tensor& kv, int64_t heads) {
  const int64_t width = queries.size(2);
  const auto split = [&](const torch::Tensor& x) { return split_heads(x, heads); };
  const double scale = 1.0 / std::sqrt(static_cast<double>(width / heads));
  const auto products = split(queries).matmul(split(kv.narrow(2, 0, width)).transpose(2, 3)) * scale;
  return products.softmax(-1)
      .matmul(split(kv.narrow(2, width, width)))
      .transpose(1, 2)
      .reshape(queries.sizes());
}

}  // namespace cavmae
