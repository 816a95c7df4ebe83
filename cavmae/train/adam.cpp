#include "cavmae/train/adam.h"

#include <cmath>

#include <ATen/Parallel.h>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

// Values a thread takes at a time; sums are made of such pieces in order, so the number of threads does not
// enter the result.
constexpr int64_t kPiece = int64_t{1} << 15;

AdamCoefficients coefficients(const OptimizerOptions& options, const AdamStep& step, double lr,
                              int64_t count) {
  const double correction1 = 1.0 - std::pow(options.beta1, static_cast<double>(count));
  const double correction2 = 1.0 - std::pow(options.beta2, static_cast<double>(count));
  return {.beta1 = static_cast<float>(options.beta1),
          .one_minus_beta1 = static_cast<float>(1.0 - options.beta1),
          .beta2 = static_cast<float>(options.beta2),
          .one_minus_beta2 = static_cast<float>(1.0 - options.beta2),
          .step_size = static_cast<float>(lr / correction1),
          .bias_correction2_sqrt = static_cast<float>(std::sqrt(correction2)),
          .epsilon = static_cast<float>(options.epsilon),
          .weight_decay = static_cast<float>(options.weight_decay),
          .gradient_scale = static_cast<float>(step.gradient_scale)};
}

// A step writes through raw pointers; autograd has to learn that the tensor changed.
void mark_changed(const torch::Tensor& tensor) {
  tensor.unsafeGetTensorImpl()->bump_version();
}

void check_parameter(const std::string& name, const torch::Tensor& parameter) {
  CAVMAE_CHECK(parameter.is_cpu() && parameter.scalar_type() == torch::kFloat32 && parameter.is_contiguous(),
               "Adam: parameter ", name, " must be a contiguous float32 tensor on the CPU, it is ",
               parameter.toString());
}

const torch::Tensor& tensor_like(const TensorFile& file, const std::string& name, const torch::Tensor& like) {
  const torch::Tensor& tensor = file.at(name);
  CAVMAE_CHECK_AS(CheckpointError, tensor.sizes() == like.sizes() && tensor.scalar_type() == torch::kFloat32,
                  "optimizer state ", name, " is ", tensor.toString(), " ", tensor.sizes(),
                  ", the model wants float ", like.sizes());
  return tensor;
}

}  // namespace

Adam::Adam(std::vector<ParameterGroup> groups, const OptimizerOptions& options) : options_(options) {
  for (const ParameterGroup& group : groups) {
    for (const auto& [name, parameter] : group.parameters) {
      if (!parameter.requires_grad()) continue;
      check_parameter(name, parameter);
      slots_.push_back({.name = name,
                        .parameter = parameter,
                        .lr_scale = group.lr_scale,
                        .exp_avg = {},
                        .exp_avg_sq = {}});
    }
  }
}

void Adam::step(const AdamStep& step) {
  const torch::NoGradGuard no_grad;
  for (Slot& slot : slots_)
    if (slot.parameter.grad().defined()) update(slot, step);
}

void Adam::update(Slot& slot, const AdamStep& step) {
  if (!slot.exp_avg.defined()) {
    slot.exp_avg = torch::zeros_like(slot.parameter);
    slot.exp_avg_sq = torch::zeros_like(slot.parameter);
  }
  ++slot.step;
  torch::Tensor& stored = slot.parameter.mutable_grad();
  if (!stored.is_contiguous()) stored = stored.contiguous();
  const AdamArrays arrays{.parameter = slot.parameter.data_ptr<float>(),
                          .gradient = stored.data_ptr<float>(),
                          .exp_avg = slot.exp_avg.data_ptr<float>(),
                          .exp_avg_sq = slot.exp_avg_sq.data_ptr<float>()};
  const AdamCoefficients c = coefficients(options_, step, step.lr * slot.lr_scale, slot.step);
  at::parallel_for(0, slot.parameter.numel(), kPiece,
                   [&](int64_t begin, int64_t end) { adam_update(arrays, begin, end, c, step.gradients); });
  mark_changed(slot.parameter);
}

void Adam::release_gradients() {
  for (Slot& slot : slots_) slot.parameter.mutable_grad() = torch::Tensor();
}

double Adam::gradient_norm() const {
  double total = 0.0;
  std::vector<double> sums;
  for (const Slot& slot : slots_) {
    if (!slot.parameter.grad().defined()) continue;
    const torch::Tensor gradient = slot.parameter.grad().contiguous();
    const float* values = gradient.data_ptr<float>();
    const int64_t size = gradient.numel();
    sums.assign(static_cast<size_t>((size + kPiece - 1) / kPiece), 0.0);
    at::parallel_for(0, static_cast<int64_t>(sums.size()), 1, [&](int64_t begin, int64_t end) {
      for (int64_t piece = begin; piece < end; ++piece)
        sums[static_cast<size_t>(piece)] =
            sum_of_squares(values + piece * kPiece, std::min(kPiece, size - piece * kPiece));
    });
    for (const double sum : sums) total += sum;
  }
  return std::sqrt(total);
}

NamedTensors Adam::state() const {
  NamedTensors tensors;
  for (const Slot& slot : slots_) {
    if (slot.step == 0) continue;
    tensors.emplace_back(slot.name + ".exp_avg", slot.exp_avg);
    tensors.emplace_back(slot.name + ".exp_avg_sq", slot.exp_avg_sq);
    tensors.emplace_back(slot.name + ".step", torch::tensor(slot.step, torch::kInt64));
  }
  return tensors;
}

void Adam::load_state(const TensorFile& file) {
  size_t used = 0;
  for (Slot& slot : slots_) {
    slot.step = 0;
    slot.exp_avg = slot.exp_avg_sq = torch::Tensor();
    if (file.find(slot.name + ".step") == nullptr) continue;
    slot.exp_avg = tensor_like(file, slot.name + ".exp_avg", slot.parameter).clone();
    slot.exp_avg_sq = tensor_like(file, slot.name + ".exp_avg_sq", slot.parameter).clone();
    slot.step = file.at(slot.name + ".step").item<int64_t>();
    used += 3;
  }
  CAVMAE_CHECK_AS(CheckpointError, used == file.tensors.size(),
                  "optimizer state: ", file.tensors.size() - used, " of ", file.tensors.size(),
                  " tensors belong to no parameter of the model");
}

int64_t Adam::state_bytes() const {
  int64_t bytes = 0;
  for (const Slot& slot : slots_) bytes += 2 * 4 * slot.parameter.numel() + 8;
  return bytes;
}

}  // namespace cavmae
