#include "cavmae/machine/peak.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "cavmae/core/parallel.h"
#include "cavmae/isa/instructions.h"
#include "cavmae/isa/isa.h"

namespace cavmae {
namespace {

constexpr int kRounds = 12;
constexpr double kRoundSeconds = 0.02;

// On every thread at once.
double seconds_of(const InstructionLoop& loop, int64_t iterations) {
  const int64_t num_threads = at::get_num_threads();
  std::vector<float> results(static_cast<size_t>(num_threads));
  const auto start = std::chrono::steady_clock::now();
  at::parallel_for(0, num_threads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) results[static_cast<size_t>(i)] = loop.run(iterations);
  });
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  volatile const float used = *std::ranges::max_element(results);
  static_cast<void>(used);
  return elapsed.count();
}

double gflops_of(const InstructionLoop& loop) {
  int64_t iterations = 1 << 10;
  while (seconds_of(loop, iterations) < kRoundSeconds) iterations *= 2;
  double best = 0;
  for (int round = 0; round < kRounds; ++round)
    best = std::max(best, static_cast<double>(iterations) / seconds_of(loop, iterations));
  return best * loop.operations * static_cast<double>(at::get_num_threads()) / 1e9;
}

}  // namespace

MachinePeak measure_peak() {
  MachinePeak peak;
  const IsaSet& isa = usable_isa();
  peak.fp32_instructions = isa.has(Isa::avx512) ? "avx512f" : isa.has(Isa::avx2) ? "avx2" : "compiled code";
  peak.fp32_gflops = gflops_of(instruction_loop(Instruction::fp32_fma));
  for (const auto instruction : {Instruction::vdpbf16ps, Instruction::tdpbf16ps}) {
    const InstructionLoop loop = instruction_loop(instruction);
    if (loop.run == nullptr) continue;
    const double gflops = gflops_of(loop);
    if (instruction == Instruction::vdpbf16ps) peak.vdpbf16ps_gflops = gflops;
    if (instruction == Instruction::tdpbf16ps) peak.tdpbf16ps_gflops = gflops;
  }
  return peak;
}

double MachinePeak::bf16_gflops() const {
  return std::max({fp32_gflops, vdpbf16ps_gflops.value_or(0), tdpbf16ps_gflops.value_or(0)});
}

std::string MachinePeak::bf16_instructions() const {
  const double best = bf16_gflops();
  if (tdpbf16ps_gflops == best) return instruction_name(Instruction::tdpbf16ps);
  if (vdpbf16ps_gflops == best) return instruction_name(Instruction::vdpbf16ps);
  return fp32_instructions;
}

}  // namespace cavmae
