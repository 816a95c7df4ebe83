// How fast a GPU multiplies matrices, measured: what shares of its peak refer to. A free function; run it
// while nothing else runs.
#pragma once

#include "cavmae/core/torch.h"

namespace cavmae {

// In 1e9 operations a second, a multiplication with its addition being two: the best of several square
// products of `type` (bf16 or float), large enough to fill the device. Any device.
double measure_matmul_gflops(torch::Device device, torch::ScalarType type, int64_t side = 8192);

}  // namespace cavmae
