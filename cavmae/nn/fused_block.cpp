#include "cavmae/nn/fused_block.h"

#include "cavmae/core/error.h"
#include "cavmae/kernels/row_kernels.h"
#include "cavmae/nn/clip_groups.h"
#include "cavmae/nn/gradient_target.h"
#include "cavmae/nn/gradient_uses.h"

namespace cavmae {
namespace {

using torch::autograd::variable_list;

kernels::Element factors_of(const Compute& how) {
  return how.precision == Precision::fp32 ? kernels::Element::f32 : kernels::Element::bf16;
}

// Makes `result` the one result of `node`.
torch::Tensor with_history(torch::Tensor result, const std::shared_ptr<torch::autograd::Node>& node) {
  const auto number = node->add_input_metadata(result);
  torch::autograd::impl::set_gradient_edge(result, {node, number});
  return result;
}

template <class Node, class... Arguments>
std::shared_ptr<Node> make_node(Arguments&&... arguments) {
  return std::shared_ptr<Node>(new Node(std::forward<Arguments>(arguments)...), torch::autograd::deleteNode);
}

using Parameters = std::vector<torch::Tensor>;

Parameters those_that_train(Parameters parameters) {
  std::erase_if(parameters, [](const torch::Tensor& p) { return !p.defined() || !p.requires_grad(); });
  return parameters;
}

Parameters trained_of(const LinearParameters& layer) {
  return those_that_train({layer.weight, layer.bias});
}

Parameters trained_of(const BlockParameters& p) {
  return those_that_train({p.norm1.weight, p.norm1.bias, p.norm2.weight, p.norm2.bias, p.qkv.weight,
                           p.qkv.bias, p.proj.weight, p.proj.bias, p.fc1.weight, p.fc1.bias, p.fc2.weight,
                           p.fc2.bias});
}

class BlockNode : public torch::autograd::Node, public GradientWriter {
 public:
  BlockNode(const BlockParameters& parameters, const BlockInput& input)
      : parameters_(parameters), input_(input) {}

  Parameters parameters() const override { return trained_of(parameters_); }

  SavedForBackward saved;
  bool recompute = false;

  void release_variables() override {
    saved = {};
    input_ = {};
  }

 protected:
  variable_list apply(variable_list&& gradients) override {
    if (!gradients[0].defined()) return {torch::Tensor()};
    const torch::NoGradGuard no_grad;
    CAVMAE_CHECK(input_.x.defined(), "a block's backward pass ran before; it keeps nothing for another");
    return {block_backward(parameters_, input_, recompute ? nullptr : &saved, gradients[0].contiguous())};
  }

 private:
  BlockParameters parameters_;
  BlockInput input_;
};

// A weight in training changes before it is wanted again: a copy of it is packed for each matmul, into
// memory that is still in the cache from the last one. Kept copies would take as much as all weights.
void pack_each_time(LinearParameters& layer) {
  if (layer.packed != nullptr) layer.packed->release();
  layer.packed = nullptr;
}

// Rows as factors of a matmul: float as they are, or rounded. [n, k]
torch::Tensor as_factors(const torch::Tensor& rows, kernels::Element element) {
  if (element == kernels::Element::f32) return rows;
  auto rounded = at::empty(rows.sizes(), rows.options().dtype(torch::kBFloat16));
  kernels::round_to_bf16(rows.data_ptr<float>(), bf16_data(rounded), rows.numel());
  return rounded;
}

class LinearNode : public torch::autograd::Node, public GradientWriter {
 public:
  LinearNode(const LinearParameters& layer, torch::Tensor x, torch::IntArrayRef x_sizes)
      : layer_(layer), x_(std::move(x)), x_sizes_(x_sizes.vec()) {}

  Parameters parameters() const override { return trained_of(layer_); }

  void release_variables() override { x_ = torch::Tensor(); }

 protected:
  variable_list apply(variable_list&& gradients) override {
    if (!gradients[0].defined()) return {torch::Tensor()};
    const torch::NoGradGuard no_grad;
    CAVMAE_CHECK(x_.defined(), "a linear layer's backward pass ran before; it keeps nothing for another");
    const auto g = gradients[0].reshape({-1, layer_.weight.size(0)}).contiguous();
    auto factors = g;
    if (x_.scalar_type() == torch::kBFloat16) factors = at::empty(g.sizes(), x_.options());
    const auto of_bias = gradient_target(layer_.bias);
    kernels::sum_rows({.x = g.data_ptr(),
                       .rounded = factors.is_same(g) ? nullptr : bf16_data(factors),
                       .sums = of_bias.data(),
                       .accumulate = of_bias.accumulate,
                       .rows = g.size(0),
                       .width = g.size(1)});
    add_weight_gradient(gradient_target(layer_.weight), factors, x_,
                        {.first = 0, .rows = layer_.weight.size(0)});
    if (!should_compute_output(0)) return {torch::Tensor()};
    auto dx = at::empty({g.size(0), x_.size(1)}, g.options());
    linear_dgrad({.g = factors, .weight = whole_weight(layer_.weight, layer_.packed), .dx = dx});
    return {dx.view(x_sizes_)};
  }

 private:
  LinearParameters layer_;
  torch::Tensor x_;  // element [n, k]
  std::vector<int64_t> x_sizes_;
};

}  // namespace

Kernels kernels_for(const torch::Tensor& x, const Compute& how) {
  const Kernels wanted = how.runtime.kernels;
  if (wanted != Kernels::fused) return wanted;
  if (!x.is_cpu()) return Kernels::library;
  return x.scalar_type() == torch::kFloat32 ? Kernels::fused : Kernels::plain;
}

torch::Tensor fused_block(const torch::Tensor& x, const torch::Tensor& ids, BlockParameters parameters,
                          const Compute& how) {
  parameters.element = factors_of(how);
  parameters.group_values =
      how.group_values.value_or(group_values_for(parameters.qkv.weight.size(1), parameters.element));
  const BlockInput input{.x = x.detach().contiguous(), .ids = ids};
  const bool records =
      torch::GradMode::is_enabled() && (x.requires_grad() || !trained_of(parameters).empty());
  const at::AutoDispatchBelowADInplaceOrView plain_operators;  // nothing here is recorded
  if (!records) return block_forward(parameters, input, nullptr);
  for (auto* layer : {&parameters.qkv, &parameters.proj, &parameters.fc1, &parameters.fc2})
    pack_each_time(*layer);
  const auto node = make_node<BlockNode>(parameters, input);
  node->recompute = how.runtime.recompute;
  node->set_next_edges({torch::autograd::impl::gradient_edge(x)});
  auto y = block_forward(parameters, input, node->recompute ? nullptr : &node->saved);
  return with_history(std::move(y), node);
}

torch::Tensor fused_linear(const torch::Tensor& x, LinearParameters layer, const Compute& how) {
  const bool records = torch::GradMode::is_enabled() && (x.requires_grad() || !trained_of(layer).empty());
  auto sizes = x.sizes().vec();
  const auto rows = x.detach().reshape({-1, sizes.back()}).contiguous();
  std::shared_ptr<LinearNode> node;
  const at::AutoDispatchBelowADInplaceOrView plain_operators;
  const auto factors = as_factors(rows, factors_of(how));
  if (records) {
    pack_each_time(layer);
    node = make_node<LinearNode>(layer, factors, x.sizes());
    node->set_next_edges({torch::autograd::impl::gradient_edge(x)});
  }
  sizes.back() = layer.weight.size(0);
  auto y = at::empty({rows.size(0), sizes.back()}, rows.options());
  linear_forward({.x = factors,
                  .weight = whole_weight(layer.weight, layer.packed),
                  .bias = layer.bias,
                  .residual = {},
                  .y = y});
  auto out = y.view(sizes);
  return records ? with_history(std::move(out), node) : out;
}

}  // namespace cavmae
