// The most that this machine's vector units do on one thread and on all, as one JSON object a number of
// threads: fp32 multiply-adds, and where the CPU has it vdpbf16ps.
//
//   peak_benchmark [threads ...]     each number in turn (1 and every usable core)
#include <cstdlib>
#include <iostream>
#include <set>

#include "cavmae/core/json.h"
#include "cavmae/machine/machine.h"
#include "cavmae/machine/peak.h"

#include "benchmarks/benchmark_main.h"

namespace cavmae {
namespace {

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
    out["bf16_gflops"] = peak.bf16_gflops ? Json(*peak.bf16_gflops) : Json();
    std::cout << out.dump() << "\n";
  }
  return 0;
}

}  // namespace
}  // namespace cavmae

int main(int argc, char** argv) {
  return cavmae::benchmark_main(&cavmae::run, argc, argv);
}
