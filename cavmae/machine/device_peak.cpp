#include "cavmae/machine/device_peak.h"

#include <algorithm>
#include <chrono>

#include "cavmae/machine/device.h"

namespace cavmae {

double measure_matmul_gflops(torch::Device device, torch::ScalarType type, int64_t side) {
  constexpr int kRounds = 8, kProductsPerRound = 4;
  using Clock = std::chrono::steady_clock;
  const torch::NoGradGuard no_grad;
  const auto options = torch::TensorOptions(device).dtype(type);
  const auto a = torch::ones({side, side}, options).mul_(0.5), b = torch::ones({side, side}, options);
  auto product = at::mm(a, b);  // warms up
  double best = 0;
  for (int round = 0; round < kRounds; ++round) {
    synchronize(device);
    const auto start = Clock::now();
    for (int i = 0; i < kProductsPerRound; ++i) at::mm_out(product, a, b);
    synchronize(device);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    const auto n = static_cast<double>(side);
    best = std::max(best, kProductsPerRound * 2 * n * n * n / seconds / 1e9);
  }
  return best;
}

}  // namespace cavmae
