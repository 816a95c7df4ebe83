// The NVIDIA GPUs of this machine as their driver reports them, whether or not LibTorch can use them. Free
// functions, safe from several threads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cavmae {

struct Gpu {
  std::string name = {};  // "NVIDIA H100 80GB HBM3"
  uint64_t memory_bytes = 0;
  std::string compute_capability = {};  // "9.0"
};

// Those that CUDA_VISIBLE_DEVICES leaves, in LibTorch's order; none without a driver.
std::vector<Gpu> list_gpus();

// Memory of the GPU that this thread computes on which is taken, by all processes together. Nothing where no
// GPU was computed on.
std::optional<uint64_t> gpu_bytes_in_use();

}  // namespace cavmae
