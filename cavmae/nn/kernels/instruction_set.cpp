#include "cavmae/nn/kernels/instruction_set.h"

#include <dnnl.hpp>

#include "cavmae/core/error.h"

namespace cavmae::kernels {
namespace {

InstructionSet of_processor() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return InstructionSet::baseline;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
    return InstructionSet::avx2;
  return __builtin_cpu_supports("avx512bf16") ? InstructionSet::avx512_bf16 : InstructionSet::avx512;
#else
  return InstructionSet::baseline;
#endif
}

// oneDNN numbers its instruction sets by bits: a set's bits are among those of the sets above it.
InstructionSet left_by_onednn() {
  const auto bits = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
  const auto has = [&](dnnl::cpu_isa isa) {
    const auto wanted = static_cast<unsigned>(isa);
    return (bits & wanted) == wanted;
  };
  if (has(dnnl::cpu_isa::avx512_core_bf16)) return InstructionSet::avx512_bf16;
  if (has(dnnl::cpu_isa::avx512_core)) return InstructionSet::avx512;
  if (has(dnnl::cpu_isa::avx2)) return InstructionSet::avx2;
  return InstructionSet::baseline;
}

}  // namespace

InstructionSet usable_instructions() {
  static const InstructionSet usable = std::min(of_processor(), left_by_onednn());
  return usable;
}

std::vector<InstructionSet> all_usable_instructions() {
  std::vector<InstructionSet> sets;
  for (const auto set :
       {InstructionSet::baseline, InstructionSet::avx2, InstructionSet::avx512, InstructionSet::avx512_bf16})
    if (set <= usable_instructions()) sets.push_back(set);
  return sets;
}

std::string instruction_set_name(InstructionSet set) {
  switch (set) {
    case InstructionSet::baseline:
      return "baseline";
    case InstructionSet::avx2:
      return "AVX2";
    case InstructionSet::avx512:
      return "AVX-512";
    case InstructionSet::avx512_bf16:
      return "AVX-512 with BF16";
  }
  throw Error("no such set of instructions");
}

}  // namespace cavmae::kernels
