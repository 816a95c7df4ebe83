#include "cavmae/train/optimizer/weight_average.h"

namespace cavmae {

void WeightAverage::add(CavMae& model) {
  const torch::NoGradGuard no_grad;
  const auto parameters = model->named_parameters();
  if (sums_.empty())
    for (const auto& item : parameters) sums_.emplace_back(item.key(), torch::zeros_like(item.value()));
  for (auto& [name, sum] : sums_) {
    sum = to_device(sum, parameters[name].device());  // what load_state() read lies on the CPU
    sum.add_(parameters[name]);
  }
  ++count_;
}

NamedTensors WeightAverage::mean() const {
  NamedTensors out;
  for (const auto& [name, sum] : sums_) out.emplace_back(name, sum / static_cast<double>(count_));
  return out;
}

NamedTensors WeightAverage::state() const {
  NamedTensors out = sums_;
  out.emplace_back("count", torch::tensor(count_, torch::kInt64));
  return out;
}

void WeightAverage::load_state(const TensorFile& file) {
  count_ = file.at("count").item<int64_t>();
  sums_.clear();
  for (const auto& [name, sum] : file.tensors)
    if (name != "count") sums_.emplace_back(name, sum.clone());
}

TemporaryParameters::TemporaryParameters(CavMae& model, const NamedTensors& values) {
  const torch::NoGradGuard no_grad;
  auto parameters = model->named_parameters();
  for (const auto& [name, value] : values) {
    torch::Tensor parameter = parameters[name];
    kept_.emplace_back(parameter, parameter.detach().clone());
    parameter.copy_(value);
  }
}

TemporaryParameters::~TemporaryParameters() {
  const torch::NoGradGuard no_grad;
  for (auto& [parameter, own] : kept_) parameter.copy_(own);
}

}  // namespace cavmae
