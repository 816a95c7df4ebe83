#include "cavmae/machine/device.h"

#include <charconv>
#include <memory>

#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/cuda.h>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

constexpr std::string_view kCudaPrefix = "cuda:";

c10::impl::VirtualGuardImpl guard_of(torch::Device device) {
  return c10::impl::VirtualGuardImpl(device.type());
}

}  // namespace

torch::Device parse_device(const std::string& name) {
  if (name == "cpu") return torch::kCPU;
  if (name == "cuda") return {torch::kCUDA, 0};
  int index = -1;
  if (name.starts_with(kCudaPrefix)) {
    const char* const end = name.data() + name.size();
    const auto [parsed, failed] = std::from_chars(name.data() + kCudaPrefix.size(), end, index);
    if (failed != std::errc() || parsed != end) index = -1;
  }
  constexpr int kMaxDevices = 127;  // LibTorch's index has 8 bits
  CAVMAE_CHECK_AS(ConfigError, index >= 0 && index <= kMaxDevices, "device is '", name,
                  "'; allowed are cpu, cuda and cuda:N, N from 0");
  return {torch::kCUDA, static_cast<torch::DeviceIndex>(index)};
}

DeviceSupport inspect_devices() {
  DeviceSupport support;
  support.cuda_build = c10::impl::hasDeviceGuardImpl(torch::kCUDA);
  if (support.cuda_build) support.num_gpus = static_cast<int64_t>(torch::cuda::device_count());
  return support;
}

torch::Device resolve_device(const std::string& name) {
  return resolve_device(name, inspect_devices());
}

torch::Device resolve_device(const std::string& name, const DeviceSupport& support) {
  const torch::Device device = parse_device(name);
  if (device.is_cpu()) return device;
  CAVMAE_CHECK_AS(ConfigError, support.cuda_build, "device is '", name,
                  "', but this cavmae was built with a LibTorch (", TORCH_VERSION,
                  ") without CUDA; use --device cpu, or build it against a LibTorch 2.x with CUDA: cmake "
                  "-DTorch_DIR=... (tools/gpu_check.sh does)");
  CAVMAE_CHECK_AS(
      ConfigError, support.num_gpus > 0, "device is '", name,
      "', but LibTorch finds no GPU that it can use; see whether nvidia-smi lists one, whether its "
      "driver is as new as LibTorch's CUDA, and CUDA_VISIBLE_DEVICES; or use --device cpu");
  CAVMAE_CHECK_AS(ConfigError, device.index() < support.num_gpus, "device is '", name, "', but there ",
                  support.num_gpus == 1
                      ? "is 1 GPU, cuda:0"
                      : concat("are ", support.num_gpus, " GPUs, cuda:0 to cuda:", support.num_gpus - 1));
  return device;
}

torch::Tensor to_device(const torch::Tensor& tensor, torch::Device device) {
  if (!tensor.defined() || tensor.device() == device) return tensor;
  if (!tensor.is_cpu() || device.is_cpu()) return tensor.to(device);
  return tensor.contiguous().pin_memory().to(device, /*non_blocking=*/true);
}

void synchronize(torch::Device device) {
  if (device.is_cuda()) torch::cuda::synchronize(device.index());
}

struct SideStream::State {
  explicit State(torch::Device device)
      : compute(guard_of(device).getDefaultStream(device)),
        copy(guard_of(device).getStreamFromGlobalPool(device)),
        guard(copy) {}

  c10::Stream compute, copy;
  c10::StreamGuard guard;
};

SideStream::SideStream(torch::Device device) {
  if (!device.is_cpu()) state_ = std::make_unique<State>(device);
}

SideStream::~SideStream() = default;

void SideStream::finish() {
  if (state_) state_->copy.synchronize();
}

void SideStream::mark_used(const torch::Tensor& tensor) const {
  if (state_ && tensor.defined()) tensor.record_stream(state_->compute);
}

}  // namespace cavmae
