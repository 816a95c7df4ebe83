// Where tensors lie and are computed with: the CPU or a CUDA device. The one place that knows a device's
// name, whether it is there, and how to copy to it. Free functions, safe from several threads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "cavmae/core/torch.h"

namespace cavmae {

// The option, declared once for every struct that holds it as `device`.
template <class Self, class Visitor>
void visit_device(Self& o, Visitor&& v) {
  v("device", o.device, "what computes the network: cpu, cuda, or cuda:N where there are several");
}
struct DeviceOptions {
  std::string device = "cpu";

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    visit_device(o, v);
  }
};

// What a name means, whether or not this machine has it: "cuda" is the first one. Throws ConfigError.
torch::Device parse_device(const std::string& name);

// What this process can compute on.
struct DeviceSupport {
  bool cuda_build = false;  // LibTorch was built with CUDA
  int64_t num_gpus = 0;     // that LibTorch can use
};
DeviceSupport inspect_devices();

// The device of that name. Throws ConfigError with the cure when it cannot be used here.
torch::Device resolve_device(const std::string& name);
torch::Device resolve_device(const std::string& name, const DeviceSupport& support);

// The tensor on `device`; undefined stays undefined. From the CPU to a GPU it goes by way of pinned memory
// and does not wait; what is computed with it afterwards on this thread does.
torch::Tensor to_device(const torch::Tensor& tensor, torch::Device device);

// Waits for all that was asked of a GPU. Nothing on the CPU.
void synchronize(torch::Device device);

// Note [Side stream]: while one lives, to_device() of this thread copies beside what the other threads
// compute. Its tensors may be used after finish(); mark_used() tells the allocator for which device's work
// they are, so that their memory is not taken for the next copy before that work is done. Nothing on the CPU.
class SideStream {
 public:
  explicit SideStream(torch::Device device);
  ~SideStream();
  SideStream(const SideStream&) = delete;
  SideStream& operator=(const SideStream&) = delete;

  void finish();  // waits for the copies
  void mark_used(const torch::Tensor& tensor) const;

 private:
  struct State;
  std::unique_ptr<State> state_;  // null on the CPU
};

}  // namespace cavmae
