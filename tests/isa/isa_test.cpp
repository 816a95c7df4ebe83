#include "cavmae/isa/isa.h"

#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/isa/kernel_table.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr uint32_t bits(std::initializer_list<int> numbers) {
  uint32_t value = 0;
  for (const int number : numbers) value |= uint32_t{1} << number;
  return value;
}

// A processor with everything, and a system that saves everything.
CpuRegisters everything() {
  return {.leaf1_ecx = bits({12, 20, 27, 28, 29}),
          .leaf7_ebx = bits({5, 16, 17, 30, 31}),
          .leaf7_edx = bits({22, 24}),
          .leaf7_1_eax = bits({5}),
          .xcr0 = bits({0, 1, 2, 5, 6, 7, 17, 18})};
}

IsaSet with(void (*change)(CpuRegisters&)) {
  CpuRegisters cpu = everything();
  change(cpu);
  return isa_of(cpu);
}

TEST(Isa, IsWhatTheProcessorHas) {
  EXPECT_EQ(isa_of(everything()), IsaSet::up_to(Isa::amx_bf16));
  EXPECT_EQ(with([](auto& cpu) { cpu.leaf7_edx = bits({24}); }), IsaSet::up_to(Isa::avx512_bf16))
      << "tiles without products of bf16";
  EXPECT_EQ(with([](auto& cpu) { cpu.leaf7_1_eax = 0; }), IsaSet::up_to(Isa::avx512));
  EXPECT_EQ(with([](auto& cpu) {
              cpu.leaf7_ebx = bits({5, 16, 17, 30});
            }),
            IsaSet::up_to(Isa::avx2))
      << "AVX-512 without VL";
  EXPECT_EQ(with([](auto& cpu) {
              cpu.leaf1_ecx = bits({20, 27, 28, 29});
            }),
            IsaSet::up_to(Isa::avx))
      << "no fused multiply-add";
  EXPECT_EQ(with([](auto& cpu) {
              cpu.leaf1_ecx = bits({12, 20, 27, 28});
            }),
            IsaSet::up_to(Isa::avx))
      << "no conversion of halfs";
  EXPECT_EQ(isa_of({}), IsaSet());
}

TEST(Isa, RegistersThatTheSystemDoesNotSaveMayNotBeUsed) {
  EXPECT_EQ(with([](auto& cpu) { cpu.xcr0 = bits({0, 1, 2, 5, 6, 7}); }), IsaSet::up_to(Isa::avx512_bf16));
  EXPECT_EQ(with([](auto& cpu) { cpu.xcr0 = bits({0, 1, 2}); }), IsaSet::up_to(Isa::avx2));
  EXPECT_EQ(with([](auto& cpu) { cpu.xcr0 = bits({0, 1}); }), IsaSet::up_to(Isa::sse42));
  EXPECT_EQ(with([](auto& cpu) { cpu.leaf1_ecx = bits({12, 20, 28}); }), IsaSet::up_to(Isa::sse42));
}

TEST(Isa, AgreesWithTheCompilersDetection) {
#if defined(__x86_64__)
  EXPECT_EQ(isa_of_processor().has(Isa::avx2),
            __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
  EXPECT_EQ(isa_of_processor().has(Isa::avx512),
            __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"));
  EXPECT_EQ(isa_of_processor().has(Isa::avx512_bf16), __builtin_cpu_supports("avx512bf16") != 0);
#else
  EXPECT_EQ(isa_of_processor(), IsaSet());
#endif
}

TEST(IsaSwitch, LeavesTheNamedInstructionsAndThoseBefore) {
  EXPECT_EQ(isa_left_by("", ""), IsaSet::up_to(Isa::amx_bf16));
  EXPECT_EQ(isa_left_by("amx", ""), IsaSet::up_to(Isa::amx_bf16));
  EXPECT_EQ(isa_left_by("avx512_bf16", ""), IsaSet::up_to(Isa::avx512_bf16));
  EXPECT_EQ(isa_left_by("avx512", ""), IsaSet::up_to(Isa::avx512));
  EXPECT_EQ(isa_left_by("avx2", ""), IsaSet::up_to(Isa::avx2));
  EXPECT_EQ(isa_left_by("baseline", ""), IsaSet());
}

TEST(IsaSwitch, OnednnsIsObeyedToo) {
  EXPECT_EQ(isa_left_by("", "SSE41"), IsaSet());
  EXPECT_EQ(isa_left_by("", "avx2"), IsaSet::up_to(Isa::avx2));
  EXPECT_EQ(isa_left_by("", "AVX512_CORE"), IsaSet::up_to(Isa::avx512));
  EXPECT_EQ(isa_left_by("", "AVX512_CORE_VNNI"), IsaSet::up_to(Isa::avx512));
  EXPECT_EQ(isa_left_by("", "AVX512_CORE_BF16"), IsaSet::up_to(Isa::avx512_bf16));
  EXPECT_EQ(isa_left_by("", "AVX512_CORE_AMX"), IsaSet::up_to(Isa::amx_bf16));
  EXPECT_EQ(isa_left_by("", "no such word"), IsaSet::up_to(Isa::amx_bf16)) << "oneDNN ignores it";
  EXPECT_EQ(isa_left_by("avx512", "AVX2"), IsaSet::up_to(Isa::avx2));
  EXPECT_EQ(isa_left_by("avx2", "AVX512_CORE"), IsaSet::up_to(Isa::avx2));
}

TEST(IsaSwitch, AnotherWordIsAnErrorThatNamesTheWords) {
  try {
    isa_left_by("AVX2", "");
    FAIL() << "taken";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("'AVX2'"), HasSubstr("baseline, avx2, avx512, avx512_bf16 or amx")));
  }
}

TEST(IsaSwitch, OnednnIsToldInItsOwnWords) {
  EXPECT_EQ(onednn_isa_word(IsaSet()), "SSE41");
  EXPECT_EQ(onednn_isa_word(IsaSet::up_to(Isa::avx)), "SSE41");
  EXPECT_EQ(onednn_isa_word(IsaSet::up_to(Isa::avx2)), "AVX2");
  EXPECT_EQ(onednn_isa_word(IsaSet::up_to(Isa::avx512_bf16)), "AVX512_CORE_BF16");
  EXPECT_EQ(onednn_isa_word(IsaSet::up_to(Isa::amx_bf16)), "ALL");
}

TEST(IsaSet, NamesItsMembers) {
  EXPECT_THAT(IsaSet::up_to(Isa::avx2).names(), ElementsAre("baseline", "sse42", "avx", "avx2"));
}

TEST(KernelTable, TheLastThatMayRunIsTaken) {
  constexpr KernelVersion<int> kVersions[] = {{"slow", Isa::baseline, 1}, {"fast", Isa::baseline, 2}};
  EXPECT_STREQ(best_version(kVersions)->name, "fast");
  EXPECT_STREQ(best_version(kVersions, [](const auto& version) { return version.functions == 1; })->name,
               "slow");
  EXPECT_EQ(best_version(kVersions, [](const auto&) { return false; }), nullptr);
  EXPECT_EQ(usable_versions(kVersions).size(), 2u);
}

TEST(KernelTable, WhatMayNotRunIsLeftOut) {
  constexpr KernelVersion<int> kVersions[] = {{"any", Isa::baseline, 1}, {"tiles", Isa::amx_bf16, 2}};
  const bool tiles = usable_isa().has(Isa::amx_bf16);
  EXPECT_STREQ(best_version(kVersions)->name, tiles ? "tiles" : "any");
  EXPECT_EQ(usable_versions(kVersions).size(), tiles ? 2u : 1u);
}

}  // namespace
}  // namespace cavmae
