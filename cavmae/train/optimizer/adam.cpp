#include "cavmae/train/optimizer/adam.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "cavmae/core/error.h"
#include "cavmae/core/parallel.h"
#include "cavmae/train/optimizer/adam_device.h"

namespace cavmae {
namespace {

// Values a thread takes at a time; sums are made of such pieces in order, so the number of threads does not
// enter the result.
constexpr int64_t kPiece = int64_t{1} << 15;

struct Piece {
  size_t number;  // among all
  size_t array;   // whose values begin..end it is
  int64_t begin, end;
};

// Many arrays cut into pieces that threads share out.
class Pieces {
 public:
  void add(int64_t size) {
    sizes_.push_back(size);
    first_.push_back(count_);
    count_ += (size + kPiece - 1) / kPiece;
  }
  int64_t count() const { return count_; }

  template <class Work>
  void for_each(const Work& work) const {
    at::parallel_for(0, count_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t number = begin; number < end; ++number) work(at(number));
    });
  }

 private:
  Piece at(int64_t number) const {
    const auto array =
        static_cast<size_t>(std::upper_bound(first_.begin(), first_.end(), number) - first_.begin() - 1);
    const int64_t begin = (number - first_[array]) * kPiece;
    return {.number = static_cast<size_t>(number),
            .array = array,
            .begin = begin,
            .end = std::min(begin + kPiece, sizes_[array])};
  }

  std::vector<int64_t> sizes_, first_;  // of each array: values, and its first piece's number
  int64_t count_ = 0;
};

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
  CAVMAE_CHECK(parameter.scalar_type() == torch::kFloat32 && parameter.is_contiguous(), "Adam: parameter ",
               name, " must be a contiguous float32 tensor, it is ", parameter.toString());
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
      CAVMAE_CHECK(slots_.empty() || slots_.front().parameter.device() == parameter.device(),
                   "Adam: parameter ", name, " is on ", parameter.device(), ", the others on ",
                   slots_.front().parameter.device());
      slots_.push_back({.name = name,
                        .parameter = parameter,
                        .lr_scale = group.lr_scale,
                        .exp_avg = {},
                        .exp_avg_sq = {}});
    }
  }
}

// All parameters in one parallel pass: most of them are small, and a pass a parameter would wait hundreds of
// times for its slowest thread.
void Adam::step(const AdamStep& step) {
  const torch::NoGradGuard no_grad;
  if (!on_cpu()) return step_on_device(step);
  std::vector<AdamArrays> arrays;
  std::vector<AdamCoefficients> of_arrays;
  Pieces pieces;
  for (Slot& slot : slots_) {
    if (!slot.parameter.grad().defined()) continue;
    prepare(slot);
    arrays.push_back({.parameter = slot.parameter.data_ptr<float>(),
                      .gradient = slot.parameter.grad().data_ptr<float>(),
                      .exp_avg = slot.exp_avg.data_ptr<float>(),
                      .exp_avg_sq = slot.exp_avg_sq.data_ptr<float>()});
    of_arrays.push_back(coefficients(options_, step, step.lr * slot.lr_scale, slot.step));
    pieces.add(slot.parameter.numel());
  }
  pieces.for_each([&](const Piece& piece) {
    adam_update(arrays[piece.array], piece.begin, piece.end, of_arrays[piece.array], step.gradients);
  });
  for (const Slot& slot : slots_)
    if (slot.parameter.grad().defined()) mark_changed(slot.parameter);
}

void Adam::step_on_device(const AdamStep& step) {
  std::vector<DeviceUpdate> updates;
  for (Slot& slot : slots_) {
    if (!slot.parameter.grad().defined()) continue;
    prepare(slot);
    updates.push_back({.parameter = slot.parameter,
                       .gradient = slot.parameter.grad(),
                       .exp_avg = slot.exp_avg,
                       .exp_avg_sq = slot.exp_avg_sq,
                       .lr = step.lr * slot.lr_scale,
                       .step = slot.step});
  }
  adam_update_on_device(updates, options_, {.scale = step.gradient_scale, .use = step.gradients});
}

void Adam::prepare(Slot& slot) {
  if (!slot.exp_avg.defined()) {
    slot.exp_avg = torch::zeros_like(slot.parameter);
    slot.exp_avg_sq = torch::zeros_like(slot.parameter);
  }
  ++slot.step;
  torch::Tensor& stored = slot.parameter.mutable_grad();
  if (!stored.is_contiguous()) stored = stored.contiguous();
}

bool Adam::on_cpu() const {
  return slots_.empty() || slots_.front().parameter.is_cpu();
}

void Adam::release_gradients() {
  for (Slot& slot : slots_) slot.parameter.mutable_grad() = torch::Tensor();
}

std::vector<torch::Tensor> Adam::gradients() const {
  std::vector<torch::Tensor> out;
  for (const Slot& slot : slots_)
    if (slot.parameter.grad().defined()) out.push_back(slot.parameter.grad());
  return out;
}

double Adam::gradient_norm() const {
  std::vector<torch::Tensor> gradients;  // dense
  Pieces pieces;
  for (const Slot& slot : slots_) {
    if (!slot.parameter.grad().defined()) continue;
    gradients.push_back(slot.parameter.grad().contiguous());
    pieces.add(slot.parameter.numel());
  }
  if (!on_cpu()) return norm_on_device(gradients);
  std::vector<double> sums(static_cast<size_t>(pieces.count()), 0.0);
  pieces.for_each([&](const Piece& piece) {
    const float* values = gradients[piece.array].data_ptr<float>();
    sums[piece.number] = sum_of_squares(values + piece.begin, piece.end - piece.begin);
  });
  return std::sqrt(std::accumulate(sums.begin(), sums.end(), 0.0));
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
  const torch::NoGradGuard no_grad;
  size_t used = 0;
  for (Slot& slot : slots_) {
    slot.step = 0;
    slot.exp_avg = slot.exp_avg_sq = torch::Tensor();
    if (file.find(slot.name + ".step") == nullptr) continue;
    const auto copy_of = [&](const char* what) {
      return at::empty_like(slot.parameter).copy_(tensor_like(file, slot.name + what, slot.parameter));
    };
    slot.exp_avg = copy_of(".exp_avg");
    slot.exp_avg_sq = copy_of(".exp_avg_sq");
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
