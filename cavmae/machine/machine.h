// The machine as it decides over speed: cores, instruction sets, the BLAS under LibTorch, threads, malloc,
// GPUs; and setting the process up for it. Reading is safe from any thread; tune_process() belongs to main().
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cavmae/core/json.h"
#include "cavmae/isa/isa.h"
#include "cavmae/machine/gpu.h"

namespace cavmae {

enum class BlasKind { reference, openblas_openmp, openblas_pthread, openblas_serial, mkl, other, unknown };

struct MachineInfo {
  std::string cpu_model;
  int64_t logical_cores = 0;  // of the machine
  int64_t usable_cores = 0;   // physical ones that affinity and container leave to this process
  uint64_t memory_bytes = 0;  // of the machine or the container, whichever is less
  std::vector<std::string>
      instruction_sets;  // as the system lists them, for people: "avx2", "avx512_bf16", ...
  IsaSet isa;            // what this process may use

  std::string blas_library;  // path of the file; "" when LibTorch holds it inside
  BlasKind blas_kind = BlasKind::unknown;
  std::string blas_core;  // the processor that OpenBLAS took its kernels for, "" for others

  std::string torch_version;
  int64_t torch_threads = 0;
  std::string onednn_version;        // "" when there is none
  bool keeps_freed_memory = false;   // malloc, after tune_process()
  bool asks_for_huge_pages = false;  // malloc, as the process was started

  std::vector<Gpu> gpus = {};
  int64_t usable_gpus = 0;  // by this LibTorch
  bool torch_has_cuda = false;

  // As the process found them; "" when not set.
  std::string openblas_coretype, omp_num_threads, omp_proc_bind;
};

MachineInfo inspect_machine();

// One sentence with the cure for everything that makes this process slower than it need be.
std::vector<std::string> machine_warnings(const MachineInfo& info);

Json to_json(const MachineInfo& info);
// Lines for a person, without the warnings.
std::string describe(const MachineInfo& info);

enum class Restart { allowed, never };

struct ProcessOptions {
  int64_t num_threads = 0;  // for LibTorch; 0: OMP_NUM_THREADS if set, else every usable core
  Restart restart = Restart::allowed;
};

// Makes the process fast; see Note [Process settings]. Called by main() before any tensor, thread or open
// file: it may start the program once more, with the same arguments and a changed environment.
void tune_process(const ProcessOptions& options);

// Whether OpenBLAS's kernels for `coretype` are older than what a processor with these instructions can do.
bool is_outdated_coretype(const std::string& coretype, const IsaSet& isa);

// Memory of this process, now and at most so far.
double resident_bytes();
double peak_resident_bytes();

}  // namespace cavmae
