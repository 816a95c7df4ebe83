#include "cavmae/nn/gradient_uses.h"

#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace cavmae {
namespace {

using torch::autograd::Node;
using torch::autograd::variable_list;
using Used = std::function<void(size_t)>;

// Tells once: autograd may keep a leaf's accumulation, and with it the hook, for the next graph.
class UsedHook : public torch::autograd::FunctionPostHook {
 public:
  UsedHook(std::vector<size_t> parameters, Used used)
      : parameters_(std::move(parameters)), used_(std::move(used)) {}

  variable_list operator()(const variable_list& outputs, const variable_list& /*inputs*/) override {
    for (const size_t parameter : std::exchange(parameters_, {})) used_(parameter);
    return outputs;
  }

 private:
  std::vector<size_t> parameters_;
  Used used_;
};

// Which parameters a node gives gradients to.
class ParametersOfNodes {
 public:
  explicit ParametersOfNodes(const std::vector<torch::Tensor>& parameters) {
    for (size_t i = 0; i < parameters.size(); ++i) {
      index_[parameters[i].unsafeGetTensorImpl()] = i;
      // Kept alive by the graph that it is part of; without one there is none.
      if (const auto node = torch::autograd::impl::try_get_grad_accumulator(parameters[i]))
        accumulations_[node.get()] = i;
    }
  }

  std::vector<size_t> of(Node* node) const {
    if (const auto found = accumulations_.find(node); found != accumulations_.end()) return {found->second};
    std::vector<size_t> out;
    if (const auto* writer = dynamic_cast<GradientWriter*>(node))
      for (const torch::Tensor& parameter : writer->parameters())
        if (const auto found = index_.find(parameter.unsafeGetTensorImpl()); found != index_.end())
          out.push_back(found->second);
    return out;
  }

 private:
  std::unordered_map<const c10::TensorImpl*, size_t> index_;
  std::unordered_map<const Node*, size_t> accumulations_;
};

}  // namespace

std::vector<int64_t> watch_uses(const torch::Tensor& loss, const std::vector<torch::Tensor>& parameters,
                                const Used& used) {
  const ParametersOfNodes written(parameters);
  std::vector<int64_t> uses(parameters.size());
  std::vector<Node*> next;
  std::unordered_set<Node*> seen;
  const auto visit = [&](Node* node) {
    if (node != nullptr && seen.insert(node).second) next.push_back(node);
  };
  visit(loss.grad_fn().get());
  while (!next.empty()) {
    Node* const node = next.back();
    next.pop_back();
    for (const auto& edge : node->next_edges()) visit(edge.function.get());
    auto of_node = written.of(node);
    if (of_node.empty()) continue;
    for (const size_t parameter : of_node) ++uses[parameter];
    node->add_post_hook(std::make_unique<UsedHook>(std::move(of_node), used));
  }
  return uses;
}

}  // namespace cavmae
