#include "cavmae/isa/isa.h"

#include <array>
#include <cstdlib>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "cavmae/core/error.h"
#include "cavmae/core/text.h"

namespace cavmae {
namespace {

struct Level {
  const char* word;  // of CAVMAE_ISA
  Isa last;
  const char* onednn_word;  // of ONEDNN_MAX_CPU_ISA
};
constexpr Level kLevels[] = {{"baseline", Isa::baseline, "SSE41"},
                             {"avx2", Isa::avx2, "AVX2"},
                             {"avx512", Isa::avx512, "AVX512_CORE"},
                             {"avx512_bf16", Isa::avx512_bf16, "AVX512_CORE_BF16"},
                             {"amx", Isa::amx_bf16, "ALL"}};

// oneDNN's other words. What it does not know, it ignores, and so do we.
struct OnednnWord {
  const char* word;
  Isa last;
};
constexpr OnednnWord kOnednnWords[] = {{"avx", Isa::avx},
                                       {"avx2_vnni", Isa::avx2},
                                       {"avx2_vnni_2", Isa::avx2},
                                       {"avx512_mic", Isa::avx2},
                                       {"avx512_mic_4ops", Isa::avx2},
                                       {"avx512_core_vnni", Isa::avx512},
                                       {"avx512_core_fp16", Isa::avx512_bf16}};

IsaSet left_by_cavmae(std::string_view word) {
  if (word.empty()) return IsaSet::up_to(Isa::amx_bf16);
  for (const Level& level : kLevels)
    if (word == level.word) return IsaSet::up_to(level.last);
  throw ConfigError(
      concat("CAVMAE_ISA is '", word,
             "'; it can be baseline, avx2, avx512, avx512_bf16 or amx: the most that kernels may use"));
}

IsaSet left_by_onednn(std::string_view spelled) {
  const std::string word = lower(std::string(spelled));
  for (const Level& level : kLevels)
    if (word == lower(level.onednn_word)) return IsaSet::up_to(level.last);
  for (const OnednnWord& other : kOnednnWords)
    if (word == other.word) return IsaSet::up_to(other.last);
  return IsaSet::up_to(Isa::amx_bf16);
}

std::string_view variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string_view() : value;
}

}  // namespace

std::string isa_name(Isa isa) {
  switch (isa) {
    case Isa::baseline:
      return "baseline";
    case Isa::sse42:
      return "sse42";
    case Isa::avx:
      return "avx";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
    case Isa::avx512_bf16:
      return "avx512_bf16";
    case Isa::amx_bf16:
      return "amx_bf16";
  }
  throw Error("no such set of instructions");
}

std::vector<std::string> IsaSet::names() const {
  std::vector<std::string> names;
  for (const Isa isa : kAllIsa)
    if (has(isa)) names.push_back(isa_name(isa));
  return names;
}

IsaSet isa_of(const CpuRegisters& cpu) {
  const auto all = [](uint64_t value, std::initializer_list<int> bits) {
    for (const int bit : bits)
      if ((value >> bit & 1) == 0) return false;
    return true;
  };
  const bool saves_asked = all(cpu.leaf1_ecx, {27});  // the system lets xcr0 be read
  const bool ymm = saves_asked && all(cpu.xcr0, {1, 2});
  const bool zmm = ymm && all(cpu.xcr0, {5, 6, 7});
  const bool tiles = zmm && all(cpu.xcr0, {17, 18});
  const std::array<bool, std::size(kAllIsa)> present = {
      true,
      all(cpu.leaf1_ecx, {20}),
      ymm && all(cpu.leaf1_ecx, {28}),
      ymm && all(cpu.leaf1_ecx, {12, 29}) && all(cpu.leaf7_ebx, {5}),
      zmm && all(cpu.leaf7_ebx, {16, 17, 30, 31}),
      zmm && all(cpu.leaf7_1_eax, {5}),
      tiles && all(cpu.leaf7_edx, {22, 24}),
  };
  IsaSet set;
  for (size_t i = 0; i < present.size() && present[i]; ++i) set = IsaSet::up_to(kAllIsa[i]);
  return set;
}

IsaSet isa_of_processor() {
  CpuRegisters cpu;
#if defined(__x86_64__)
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0) return {};
  cpu.leaf1_ecx = ecx;
  if ((ecx >> 27 & 1) != 0) {
    uint32_t low = 0, high = 0;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    cpu.xcr0 = uint64_t{high} << 32 | low;
  }
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0) {
    cpu.leaf7_ebx = ebx;
    cpu.leaf7_edx = edx;
    const uint32_t last_part = eax;
    if (last_part >= 1 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0) cpu.leaf7_1_eax = eax;
  }
#endif
  return isa_of(cpu);
}

IsaSet isa_left_by(std::string_view cavmae_isa, std::string_view onednn_max_cpu_isa) {
  return left_by_cavmae(cavmae_isa) & left_by_onednn(onednn_max_cpu_isa);
}

const IsaSet& usable_isa() {
  static const IsaSet usable = [] {
    const std::string_view onednn = variable("ONEDNN_MAX_CPU_ISA");
    return isa_of_processor() &
           isa_left_by(variable("CAVMAE_ISA"), onednn.empty() ? variable("DNNL_MAX_CPU_ISA") : onednn);
  }();
  return usable;
}

bool isa_is_switched() {
  return !variable("CAVMAE_ISA").empty();
}

std::string onednn_isa_word(const IsaSet& isa) {
  std::string word;
  for (const Level& level : kLevels)
    if (isa.has(level.last)) word = level.onednn_word;
  return word;
}

}  // namespace cavmae
