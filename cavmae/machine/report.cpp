#include <algorithm>
#include <array>
#include <cstdlib>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cavmae/core/files.h"
#include "cavmae/core/text.h"
#include "cavmae/machine/machine.h"

namespace cavmae {
namespace {

struct BlasName {
  BlasKind kind;
  const char* key;
  const char* text;
};
constexpr std::array<BlasName, 7> kBlasNames = {
    {{BlasKind::reference, "reference", "the reference BLAS"},
     {BlasKind::openblas_openmp, "openblas-openmp", "OpenBLAS, OpenMP build"},
     {BlasKind::openblas_pthread, "openblas-pthread", "OpenBLAS, pthread build"},
     {BlasKind::openblas_serial, "openblas-serial", "OpenBLAS, build without threads"},
     {BlasKind::mkl, "mkl", "Intel MKL"},
     {BlasKind::other, "other", "another BLAS"},
     {BlasKind::unknown, "unknown", "inside LibTorch"}}};

const BlasName& name_of(BlasKind kind) {
  return *std::find_if(kBlasNames.begin(), kBlasNames.end(),
                       [&](const BlasName& n) { return n.kind == kind; });
}

constexpr const char* kInstallOpenBlas = "install the right one: apt-get install libopenblas0-openmp";

Json gpus_to_json(const std::vector<Gpu>& gpus) {
  Json out = Json::array();
  for (const Gpu& gpu : gpus)
    out.push_back({{"name", gpu.name},
                   {"memory_bytes", gpu.memory_bytes},
                   {"compute_capability", gpu.compute_capability}});
  return out;
}

std::string describe_gpus(const MachineInfo& info) {
  if (info.gpus.empty()) return "GPU           none\n";
  std::string text;
  for (size_t i = 0; i < info.gpus.size(); ++i) {
    const Gpu& gpu = info.gpus[i];
    text +=
        fmt::format("GPU           {}, {}, compute capability {}{}\n", gpu.name,
                    human_bytes(static_cast<double>(gpu.memory_bytes)), gpu.compute_capability,
                    static_cast<int64_t>(i) < info.usable_gpus ? fmt::format(" (--device cuda:{})", i) : "");
  }
  return text;
}

}  // namespace

bool is_outdated_coretype(const std::string& coretype, const IsaSet& isa) {
  // OpenBLAS's names by the widest instructions that their kernels use.
  static constexpr std::array<std::string_view, 9> kSse = {
      "prescott", "core2", "penryn", "dunnington", "nehalem", "atom", "opteron", "barcelona", "bobcat"};
  static constexpr std::array<std::string_view, 4> kAvx = {"sandybridge", "bulldozer", "piledriver",
                                                           "steamroller"};
  static constexpr std::array<std::string_view, 3> kAvx2 = {"haswell", "zen", "excavator"};
  const auto among = [&](const auto& names) {
    return std::find(names.begin(), names.end(), lower(coretype)) != names.end();
  };
  const int core = among(kSse) ? 0 : among(kAvx) ? 1 : among(kAvx2) ? 2 : 3;
  const int processor = isa.has(Isa::avx512) ? 3 : isa.has(Isa::avx2) ? 2 : isa.has(Isa::avx) ? 1 : 0;
  return core < processor;
}

std::vector<std::string> machine_warnings(const MachineInfo& info) {
  std::vector<std::string> warnings;
  const auto warn = [&]<class... T>(fmt::format_string<T...> text, T&&... values) {
    warnings.push_back(fmt::format(text, std::forward<T>(values)...));
  };
  if (info.blas_kind == BlasKind::reference)
    warn(
        "fp32 products go through the reference BLAS ({}), which is 40 to 100 times slower than OpenBLAS; {}",
        info.blas_library, kInstallOpenBlas);
  if (info.blas_kind == BlasKind::openblas_pthread)
    warn(
        "OpenBLAS's pthread build ({}) brings threads of its own that fight with LibTorch's, at half the "
        "speed; {} and choose it with update-alternatives --config libblas.so.3-x86_64-linux-gnu",
        info.blas_library, kInstallOpenBlas);
  if (info.blas_kind == BlasKind::openblas_serial && info.usable_cores > 1)
    warn("OpenBLAS's build without threads ({}) uses one of {} cores; {}", info.blas_library,
         info.usable_cores, kInstallOpenBlas);
  if (is_outdated_coretype(info.openblas_coretype, info.isa))
    warn("OPENBLAS_CORETYPE={} makes OpenBLAS use kernels of an older processor than this one; unset it",
         info.openblas_coretype);
  if (info.torch_threads < info.usable_cores) {
    const bool from_environment =
        std::strtol(info.omp_num_threads.c_str(), nullptr, 10) == info.torch_threads;
    warn("LibTorch computes with {} of {} usable cores; {}", info.torch_threads, info.usable_cores,
         from_environment ? "unset OMP_NUM_THREADS" : "leave --threads at 0");
  }
  if (info.torch_threads > info.usable_cores)
    warn("LibTorch computes with {} threads on {} usable cores, which then wait for each other; {}",
         info.torch_threads, info.usable_cores,
         info.omp_num_threads.empty() ? "leave --threads at 0" : "unset OMP_NUM_THREADS");
  const std::string bind = lower(info.omp_proc_bind);
  if (!bind.empty() && bind != "false" && info.usable_cores > 1)
    warn("OMP_PROC_BIND={} ties the threads that load data to the main thread's core; unset it",
         info.omp_proc_bind);
  if (!info.keeps_freed_memory)
    warn(
        "malloc gives the memory of big tensors back to the system on every free, and takes it again with "
        "a page fault for every 4 kB; call tune_process() first");
  if (!info.gpus.empty() && info.usable_gpus == 0)
    warn("there is a GPU ({}), but this LibTorch ({}) {}", info.gpus.front().name, info.torch_version,
         info.torch_has_cuda ? "cannot use it: its CUDA may be newer than the driver"
                             : "has no CUDA; build against one that has: cmake -DTorch_DIR=...");
  return warnings;
}

Json to_json(const MachineInfo& info) {
  return {{"cpu_model", info.cpu_model},
          {"logical_cores", info.logical_cores},
          {"usable_cores", info.usable_cores},
          {"memory_bytes", info.memory_bytes},
          {"instruction_sets", info.instruction_sets},
          {"isa", info.isa.names()},
          {"blas", name_of(info.blas_kind).key},
          {"blas_library", info.blas_library},
          {"blas_core", info.blas_core},
          {"torch_version", info.torch_version},
          {"torch_threads", info.torch_threads},
          {"onednn_version", info.onednn_version},
          {"keeps_freed_memory", info.keeps_freed_memory},
          {"asks_for_huge_pages", info.asks_for_huge_pages},
          {"torch_has_cuda", info.torch_has_cuda},
          {"usable_gpus", info.usable_gpus},
          {"gpus", gpus_to_json(info.gpus)}};
}

std::string describe(const MachineInfo& info) {
  const std::string blas_core = info.blas_core.empty() ? "" : ", kernels for " + info.blas_core;
  const std::string blas_path = info.blas_library.empty() ? "" : " (" + info.blas_library + ")";
  const std::string text = fmt::format(
      "processor     {}\n"
      "cores         {} usable of {}\n"
      "memory        {}\n"
      "instructions  {}\n"
      "kernels use   {}\n"
      "BLAS          {}{}{}\n"
      "LibTorch      {}, {} threads\n"
      "oneDNN        {}\n"
      "malloc        {}{}\n",
      info.cpu_model.empty() ? "unknown" : info.cpu_model, info.usable_cores, info.logical_cores,
      human_bytes(static_cast<double>(info.memory_bytes)), fmt::join(info.instruction_sets, " "),
      fmt::join(info.isa.names(), " "), name_of(info.blas_kind).text, blas_core, blas_path,
      info.torch_version, info.torch_threads, info.onednn_version.empty() ? "none" : info.onednn_version,
      info.keeps_freed_memory ? "keeps freed memory" : "gives freed memory back to the system",
      info.asks_for_huge_pages ? ", asks for huge pages" : "");
  return text + describe_gpus(info);
}

}  // namespace cavmae
