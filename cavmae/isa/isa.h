// Which instructions this process may use: the one place that asks the processor, and the one switch that
// takes some away. Free functions and a value; safe from several threads.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

// Where versions for other instructions than the compiler's own can be made: Clang lacks GCC's pragma.
#if defined(__x86_64__) && !defined(__clang__)
#define CAVMAE_X86_KERNELS
#endif

namespace cavmae {

// Sets of instructions that a kernel may need. A processor that has one of them has those before it. Code
// asks for the set that it needs, never which is the greatest: others will come after the last.
enum class Isa : uint8_t {
  baseline,     // any processor
  sse42,        // SSE4.2
  avx,          // AVX
  avx2,         // AVX2 and FMA
  avx512,       // AVX-512 F, BW, DQ and VL
  avx512_bf16,  // AVX512-BF16
  amx_bf16,     // AMX tiles and their products of bf16; Linux besides wants to be asked by each process that
                // uses tiles, arch_prctl(ARCH_REQ_XCOMP_PERM), which is left to the kernel that does
};
inline constexpr Isa kAllIsa[] = {Isa::baseline, Isa::sse42,       Isa::avx,     Isa::avx2,
                                  Isa::avx512,   Isa::avx512_bf16, Isa::amx_bf16};
std::string isa_name(Isa isa);  // "avx512_bf16"

class IsaSet {
 public:
  constexpr IsaSet() = default;  // baseline alone
  constexpr IsaSet(std::initializer_list<Isa> members) {
    for (const Isa isa : members) bits_ |= bit(isa);
  }
  static constexpr IsaSet up_to(Isa last) {
    IsaSet set;
    for (const Isa isa : kAllIsa)
      if (isa <= last) set.bits_ |= bit(isa);
    return set;
  }

  constexpr bool has(Isa isa) const { return (bits_ & bit(isa)) != 0; }
  constexpr IsaSet operator&(const IsaSet& other) const {
    IsaSet both;
    both.bits_ = bits_ & other.bits_;
    return both;
  }
  constexpr bool operator==(const IsaSet&) const = default;
  std::vector<std::string> names() const;

 private:
  static constexpr uint32_t bit(Isa isa) { return uint32_t{1} << static_cast<int>(isa); }
  uint32_t bits_ = bit(Isa::baseline);
};

// What may be used: what the processor has, the system saves, and the switches leave. CAVMAE_ISA is the
// switch of all kernels and of oneDNN: baseline, avx2, avx512, avx512_bf16 or amx, each of them with those
// before it; a ConfigError for another word. oneDNN's own, ONEDNN_MAX_CPU_ISA, takes instructions away from
// all kernels as well. Read once. LibTorch's own operators and the BLAS have switches of their own
// (ATEN_CPU_CAPABILITY, OPENBLAS_CORETYPE).
const IsaSet& usable_isa();

// The parts of it, for tests and for what passes them on. Words are those of the two variables; "" takes
// nothing away.
IsaSet isa_of_processor();
IsaSet isa_left_by(std::string_view cavmae_isa, std::string_view onednn_max_cpu_isa);

// Whether CAVMAE_ISA is set; then it has to be passed on to oneDNN before its first use, see
// onednn_isa_word().
bool isa_is_switched();
// What ONEDNN_MAX_CPU_ISA says for these instructions: "AVX512_CORE".
std::string onednn_isa_word(const IsaSet& isa);

// The registers that decide, of cpuid and xgetbv.
struct CpuRegisters {
  uint32_t leaf1_ecx = 0, leaf7_ebx = 0, leaf7_edx = 0, leaf7_1_eax = 0;
  uint64_t xcr0 = 0;  // the state that the system saves when it changes threads
};
IsaSet isa_of(const CpuRegisters& cpu);

}  // namespace cavmae
