#include "cavmae/nn/gradient_bucket.h"

#include <map>
#include <mutex>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

// Goes with a bucket's memory.
struct Marks {
  at::DataPtr memory;
  std::mutex mutex;
  std::map<int64_t, int64_t>
      fresh;  // a gradient's place in the storage -> its version when it was handed out
};

void release_marks(void* context) {
  delete static_cast<Marks*>(context);
}

// Null for memory that is no bucket's.
Marks* marks_of(const torch::Tensor& tensor) {
  if (!tensor.has_storage()) return nullptr;
  return tensor.storage().data_ptr().cast_context<Marks>(&release_marks);
}

torch::Storage make_storage(int64_t bytes) {
  auto marks = std::make_unique<Marks>();
  marks->memory = c10::GetAllocator(torch::kCPU)->allocate(static_cast<size_t>(bytes));
  void* const data = marks->memory.get();
  at::DataPtr memory(data, marks.release(), &release_marks, torch::Device(torch::kCPU));
  return {torch::Storage::use_byte_size_t(), static_cast<size_t>(bytes), std::move(memory), nullptr, false};
}

// A tensor with a version of its own, which a view would share.
torch::Tensor tensor_in(const torch::Storage& storage, int64_t first, torch::IntArrayRef sizes) {
  auto tensor = at::empty({0}, torch::kFloat32);
  return tensor.set_(storage, first, sizes);
}

}  // namespace

GradientBucket::GradientBucket(const std::vector<torch::Tensor>& parameters) {
  constexpr int64_t kLine = 16;  // floats
  const torch::NoGradGuard no_grad;
  std::vector<int64_t> first;
  int64_t count = 0;
  for (const torch::Tensor& parameter : parameters) {
    if (!parameter.requires_grad()) continue;
    CAVMAE_CHECK(parameter.is_cpu() && parameter.scalar_type() == torch::kFloat32,
                 "a bucket takes gradients of float parameters on the CPU, not of ", parameter.toString());
    parts_.push_back({.parameter = parameter, .gradient = {}});
    first.push_back(count);
    count += (parameter.numel() + kLine - 1) / kLine * kLine;
  }
  const auto storage = make_storage(count * static_cast<int64_t>(sizeof(float)));
  flat_ = tensor_in(storage, 0, {count});
  for (size_t i = 0; i < parts_.size(); ++i)
    parts_[i].gradient = tensor_in(storage, first[i], parts_[i].parameter.sizes());
}

void GradientBucket::prepare() {
  const torch::NoGradGuard no_grad;
  flat_.zero_();
  Marks& marks = *marks_of(flat_);
  const std::lock_guard lock(marks.mutex);
  for (Part& part : parts_) {
    part.parameter.mutable_grad() = part.gradient;
    marks.fresh[part.gradient.storage_offset()] = static_cast<int64_t>(part.gradient._version());
  }
}

std::vector<bool> GradientBucket::written() const {
  Marks& marks = *marks_of(flat_);
  const std::lock_guard lock(marks.mutex);
  std::vector<bool> out;
  for (const Part& part : parts_) {
    const auto mark = marks.fresh.find(part.gradient.storage_offset());
    out.push_back(mark == marks.fresh.end() ||
                  mark->second != static_cast<int64_t>(part.gradient._version()));
  }
  return out;
}

bool take_fresh(const torch::Tensor& gradient) {
  Marks* const marks = marks_of(gradient);
  if (marks == nullptr) return false;
  const std::lock_guard lock(marks->mutex);
  const auto mark = marks->fresh.find(gradient.storage_offset());
  if (mark == marks->fresh.end()) return false;
  const bool fresh = mark->second == static_cast<int64_t>(gradient._version());
  marks->fresh.erase(mark);
  return fresh;
}

}  // namespace cavmae
