// How fast the instructions are that kernels spend their time in, by a loop in registers of less than a
// millisecond: a processor may have one and be slow at it (vdpbf16ps has half the rate of fp32's
// multiply-adds on Intel's that have tiles). Free functions; safe from several threads.
#pragma once

#include <array>
#include <cstdint>
#include <iterator>
#include <string>

namespace cavmae {

enum class Instruction { fp32_fma, vdpbf16ps, tdpbf16ps };
inline constexpr Instruction kInstructions[] = {Instruction::fp32_fma, Instruction::vdpbf16ps,
                                                Instruction::tdpbf16ps};
std::string instruction_name(Instruction instruction);  // "vdpbf16ps"

// A loop of multiply-adds in registers, of the widest kind that usable_isa() leaves. It returns a sum of what
// it computed, so that none is left out.
struct InstructionLoop {
  float (*run)(int64_t iterations) = nullptr;  // null: the process may not use the instruction
  double operations = 0.0;                     // of one iteration; a multiplication with its addition is two
};
InstructionLoop instruction_loop(Instruction instruction);

// Of one core, in 1e9 operations a second; 0 for one that may not be used.
struct InstructionRates {
  std::array<double, std::size(kInstructions)> gflops{};

  double of(Instruction instruction) const { return gflops[static_cast<size_t>(instruction)]; }
};
// This machine's, measured once a process.
const InstructionRates& instruction_rates();

}  // namespace cavmae
