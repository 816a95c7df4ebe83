// Which instructions the kernels may use on this processor. Safe from several threads.
#pragma once

#include <string>
#include <vector>

namespace cavmae::kernels {

// In ascending order; each includes those before it.
enum class InstructionSet {
  baseline,     // any processor
  avx2,         // AVX2 and FMA
  avx512,       // AVX-512 F, BW, DQ and VL
  avx512_bf16,  // AVX512-BF16 besides
};

// What the processor has and oneDNN's switch leaves: ONEDNN_MAX_CPU_ISA (or DNNL_MAX_CPU_ISA) set to SSE41,
// AVX2, AVX512_CORE ... masks the rest off, for oneDNN and for the project's own kernels alike.
InstructionSet usable_instructions();
// From baseline to usable_instructions().
std::vector<InstructionSet> all_usable_instructions();
std::string instruction_set_name(InstructionSet set);

}  // namespace cavmae::kernels
