#include "cavmae/machine/machine.h"

#include <cstdlib>
#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include "cavmae/core/error.h"
#include "cavmae/core/parallel.h"
#include "cavmae/core/torch.h"

#include "tests/support/temporary_folder.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// A machine without traps.
MachineInfo good_machine() {
  return {.cpu_model = "A processor",
          .logical_cores = 16,
          .usable_cores = 8,
          .memory_bytes = 32'000'000'000,
          .instruction_sets = {"avx", "avx2", "fma", "avx512f"},
          .isa = IsaSet::up_to(Isa::avx512),
          .blas_library = "/usr/lib/openblas-openmp/libblas.so.3",
          .blas_kind = BlasKind::openblas_openmp,
          .blas_core = "SkylakeX",
          .torch_version = "1.13.0",
          .torch_threads = 8,
          .onednn_version = "2.6.3",
          .keeps_freed_memory = true,
          .openblas_coretype = "",
          .omp_num_threads = "",
          .omp_proc_bind = ""};
}

TEST(MachineWarnings, AGoodMachineHasNone) {
  EXPECT_THAT(machine_warnings(good_machine()), IsEmpty());
}

TEST(MachineWarnings, EachTrapIsOneSentenceWithItsCure) {
  const auto warnings_with = [](auto change) {
    MachineInfo info = good_machine();
    change(info);
    return machine_warnings(info);
  };
  EXPECT_THAT(
      warnings_with([](auto& m) { m.blas_kind = BlasKind::reference; }),
      ElementsAre(AllOf(HasSubstr("reference BLAS"), HasSubstr("apt-get install libopenblas0-openmp"))));
  EXPECT_THAT(warnings_with([](auto& m) { m.blas_kind = BlasKind::openblas_pthread; }),
              ElementsAre(AllOf(HasSubstr("pthread build"), HasSubstr("libopenblas0-openmp"))));
  EXPECT_THAT(warnings_with([](auto& m) { m.blas_kind = BlasKind::openblas_serial; }),
              ElementsAre(HasSubstr("one of 8 cores")));
  EXPECT_THAT(warnings_with([](auto& m) { m.openblas_coretype = "Haswell"; }),
              ElementsAre(HasSubstr("OPENBLAS_CORETYPE=Haswell")));
  EXPECT_THAT(warnings_with([](auto& m) { m.torch_threads = 1; }),
              ElementsAre(AllOf(HasSubstr("1 of 8 usable cores"), HasSubstr("--threads"))));
  EXPECT_THAT(warnings_with([](auto& m) { m.torch_threads = 1, m.omp_num_threads = "1"; }),
              ElementsAre(HasSubstr("unset OMP_NUM_THREADS")));
  EXPECT_THAT(warnings_with([](auto& m) { m.torch_threads = 16; }),
              ElementsAre(HasSubstr("16 threads on 8 usable cores")));
  EXPECT_THAT(warnings_with([](auto& m) { m.omp_proc_bind = "true"; }),
              ElementsAre(HasSubstr("OMP_PROC_BIND")));
  EXPECT_THAT(warnings_with([](auto& m) { m.keeps_freed_memory = false; }), ElementsAre(HasSubstr("malloc")));
  const Gpu gpu{.name = "A card", .memory_bytes = 80'000'000'000, .compute_capability = "9.0"};
  EXPECT_THAT(warnings_with([&](auto& m) { m.gpus = {gpu}; }),
              ElementsAre(AllOf(HasSubstr("A card"), HasSubstr("has no CUDA"), HasSubstr("-DTorch_DIR"))));
  EXPECT_THAT(warnings_with([&](auto& m) { m.gpus = {gpu}, m.torch_has_cuda = true; }),
              ElementsAre(AllOf(HasSubstr("A card"), HasSubstr("driver"))));
  EXPECT_THAT(warnings_with([&](auto& m) { m.gpus = {gpu}, m.torch_has_cuda = true, m.usable_gpus = 1; }),
              IsEmpty());
}

TEST(MachineDescription, GpusAreNamedWithHowToUseThem) {
  MachineInfo info = good_machine();
  EXPECT_THAT(describe(info), HasSubstr("GPU           none"));
  info.gpus = {{.name = "A card", .memory_bytes = 80'000'000'000, .compute_capability = "9.0"},
               {.name = "Another"}};
  info.usable_gpus = 1;
  EXPECT_THAT(describe(info),
              AllOf(HasSubstr("A card"), HasSubstr("9.0 (--device cuda:0)"), HasSubstr("Another")));
  EXPECT_EQ(to_json(info)["gpus"][0]["name"], "A card");
}

TEST(MachineWarnings, ACoretypeIsOutdatedWhenTheProcessorCanDoMore) {
  const IsaSet avx2 = IsaSet::up_to(Isa::avx2), avx512 = IsaSet::up_to(Isa::avx512);
  EXPECT_TRUE(is_outdated_coretype("Haswell", avx512));
  EXPECT_TRUE(is_outdated_coretype("ZEN", avx512));
  EXPECT_TRUE(is_outdated_coretype("Nehalem", avx2));
  EXPECT_TRUE(is_outdated_coretype("Sandybridge", avx2));
  EXPECT_FALSE(is_outdated_coretype("Haswell", avx2));
  EXPECT_FALSE(is_outdated_coretype("SkylakeX", avx512));
  EXPECT_FALSE(is_outdated_coretype("", avx512));
  EXPECT_FALSE(is_outdated_coretype("Nehalem", {}));
}

TEST(Machine, InspectingFindsWhatIsThere) {
  const MachineInfo info = inspect_machine();
  EXPECT_GE(info.usable_cores, 1);
  EXPECT_LE(info.usable_cores, info.logical_cores);
  EXPECT_GT(info.memory_bytes, 100'000'000u);
  EXPECT_THAT(info.torch_version, testing::MatchesRegex("[0-9]+\\.[0-9]+.*"));
  EXPECT_NE(info.blas_kind, BlasKind::other);
  EXPECT_THAT(describe(info),
              AllOf(HasSubstr("BLAS "), HasSubstr("LibTorch"), HasSubstr(info.torch_version)));
  const Json json = to_json(info);
  EXPECT_EQ(json["usable_cores"], info.usable_cores);
  EXPECT_TRUE(json["blas"].is_string());
}

TEST(Machine, TuningSetsThreadsAndMalloc) {
  const int before = at::get_num_threads();
  ::unsetenv("OMP_NUM_THREADS");
  tune_process({.num_threads = 3, .restart = Restart::never});
  EXPECT_EQ(at::get_num_threads(), 3);
#ifndef __SANITIZE_ADDRESS__  // its malloc has no such settings
  EXPECT_TRUE(inspect_machine().keeps_freed_memory);
#endif
  ::setenv("OMP_NUM_THREADS", "2", 1);
  tune_process({.restart = Restart::never});
  EXPECT_EQ(at::get_num_threads(), 2);
  ::unsetenv("OMP_NUM_THREADS");
  tune_process({.restart = Restart::never});
  EXPECT_EQ(at::get_num_threads(), inspect_machine().usable_cores);
  EXPECT_THROW(tune_process({.num_threads = -1, .restart = Restart::never}), ConfigError);
  at::set_num_threads(before);
}

TEST(Machine, ResidentMemoryIsPlausible) {
  const double before = resident_bytes();
  EXPECT_GT(before, 1e6);
  // Pages of their own: malloc would give out again what other tests have freed.
  constexpr size_t kBytes = 50'000'000;
  void* pages = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(pages, MAP_FAILED);
  std::memset(pages, 1, kBytes);
  EXPECT_GT(resident_bytes(), before + 30e6);
  ::munmap(pages, kBytes);
  EXPECT_GE(peak_resident_bytes(), 50e6);
}

}  // namespace
}  // namespace cavmae
