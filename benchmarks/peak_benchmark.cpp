// The most that this machine does on one thread and on all, as one JSON object a number of threads: fp32
// multiply-adds, where the CPU has them vdpbf16ps and tiles, and bytes that are read from and copied in
// memory.
//
//   peak_benchmark [threads ...]     each number in turn (1 and every usable core)
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <set>
#include <vector>

#include "cavmae/core/json.h"
#include "cavmae/core/parallel.h"
#include "cavmae/machine/machine.h"
#include "cavmae/machine/peak.h"

#include "benchmarks/benchmark_main.h"

namespace cavmae {
namespace {

// Bytes a second that `work(begin, end)` moves for all of `count` floats; the best of a few rounds.
template <class Work>
double gb_per_second(int64_t count, int64_t bytes_of_one, const Work& work) {
  constexpr int kRounds = 5;
  double best = 0;
  for (int round = 0; round < kRounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    at::parallel_for(0, count, 1, work);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    best = std::max(best, static_cast<double>(count * bytes_of_one) / elapsed.count() / 1e9);
  }
  return best;
}

// Far more than any cache holds.
void add_bandwidth(Json& out) {
  constexpr int64_t kFloats = int64_t{64} << 20;
  std::vector<float> from(kFloats, 1.0F), to(kFloats, 2.0F);
  std::atomic<float> total = 0;
  out["read_gb_per_second"] = gb_per_second(kFloats, 4, [&](int64_t begin, int64_t end) {
    constexpr int64_t kSums = 64;
    float sums[kSums] = {};
    for (int64_t i = begin; i + kSums <= end; i += kSums)
      for (int64_t k = 0; k < kSums; ++k) sums[k] += from[static_cast<size_t>(i + k)];
    for (const float sum : sums) total = total + sum;
  });
  out["copy_gb_per_second"] = gb_per_second(kFloats, 8, [&](int64_t begin, int64_t end) {
    std::copy(from.begin() + begin, from.begin() + end, to.begin() + begin);
  });
}

int run(int argc, char** argv) {
  tune_process({.num_threads = 0, .restart = Restart::never});
  std::set<int64_t> thread_counts;
  for (int i = 1; i < argc; ++i) {
    thread_counts.insert(std::strtol(argv[i], nullptr, 10));
    if (*thread_counts.begin() < 1) {
      std::cerr << "peak_benchmark: '" << argv[i] << "' is not a number of threads\n";
      return 2;
    }
  }
  if (thread_counts.empty()) thread_counts = {1, inspect_machine().usable_cores};
  for (const int64_t threads : thread_counts) {
    tune_process({.num_threads = threads, .restart = Restart::never});
    const MachinePeak peak = measure_peak();
    Json out = {{"threads", threads},
                {"fp32_gflops", peak.fp32_gflops},
                {"fp32_instructions", peak.fp32_instructions}};
    out["vdpbf16ps_gflops"] = peak.vdpbf16ps_gflops ? Json(*peak.vdpbf16ps_gflops) : Json();
    out["tdpbf16ps_gflops"] = peak.tdpbf16ps_gflops ? Json(*peak.tdpbf16ps_gflops) : Json();
    out["bf16_gflops"] = peak.bf16_gflops();
    out["bf16_instructions"] = peak.bf16_instructions();
    add_bandwidth(out);
    std::cout << out.dump() << "\n";
  }
  return 0;
}

}  // namespace
}  // namespace cavmae

int main(int argc, char** argv) {
  return cavmae::benchmark_main(&cavmae::run, argc, argv);
}
