#include "cavmae/kernels/instruction_set.h"

#include <algorithm>

#include "cavmae/core/error.h"
#include "cavmae/kernels/onednn_products.h"

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

}  // namespace

InstructionSet usable_instructions() {
  static const InstructionSet usable = std::min(of_processor(), instructions_left_by_onednn());
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
