#include "cavmae/machine/machine.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include <ATen/Context.h>
#include <dlfcn.h>
#include <sched.h>
#include <torch/version.h>
#include <unistd.h>

#include "cavmae/core/parallel.h"
#include "cavmae/core/text.h"
#include "cavmae/machine/cgroup.h"
#include "cavmae/machine/device.h"
#include "cavmae/machine/process.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// The value of the first line of /proc/cpuinfo that begins with one of the names.
std::string cpuinfo(std::initializer_list<std::string_view> names) {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    const auto colon = line.find(':');
    if (colon == std::string::npos) continue;
    const auto name = trim(std::string_view(line).substr(0, colon));
    if (std::find(names.begin(), names.end(), name) != names.end())
      return std::string(trim(std::string_view(line).substr(colon + 1)));
  }
  return "";
}

std::vector<std::string> instruction_sets() {
  std::istringstream flags(cpuinfo({"flags", "Features"}));  // the second name is ARM's
  const std::set<std::string> present{std::istream_iterator<std::string>(flags), {}};
  std::vector<std::string> found;
  for (const char* name :
       {"avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512_vnni",
        "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8", "asimd", "asimdhp", "sve", "bf16"})
    if (present.contains(name)) found.emplace_back(name);
  return found;
}

// Physical cores among the processors that this process may run on: two hyperthreads share one core's
// arithmetic, so a second one adds nothing to a matrix product.
int64_t physical_cores() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return ::sysconf(_SC_NPROCESSORS_ONLN);
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    std::ifstream in("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list");
    std::string siblings;
    cores.insert(std::getline(in, siblings) ? siblings : "cpu" + std::to_string(cpu));
  }
  return static_cast<int64_t>(cores.size());
}

template <class Function>
Function* symbol(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_DEFAULT, name));
}

BlasKind openblas_kind() {
  auto* const parallel = symbol<int()>("openblas_get_parallel");
  switch (parallel == nullptr ? -1 : parallel()) {
    case 0:
      return BlasKind::openblas_serial;
    case 1:
      return BlasKind::openblas_pthread;
    case 2:
      return BlasKind::openblas_openmp;
    default:
      return BlasKind::other;
  }
}

// The library that answers when LibTorch calls for a product of float matrices. Other BLAS libraries may be
// loaded beside it (LAPACK brings its own), so what counts is where this one symbol lies.
void find_blas(MachineInfo& info) {
  Dl_info place = {};
  void* sgemm = ::dlsym(RTLD_DEFAULT, "sgemm_");
  if (sgemm == nullptr || ::dladdr(sgemm, &place) == 0 || place.dli_fname == nullptr) {
    info.blas_kind = at::hasMKL() ? BlasKind::mkl : BlasKind::unknown;
    return;
  }
  std::error_code failed;
  const fs::path real = fs::canonical(place.dli_fname, failed);
  info.blas_library = failed ? place.dli_fname : real.string();
  const std::string path = lower(info.blas_library), file = fs::path(path).filename().string();
  if (path.find("openblas") != std::string::npos) {
    info.blas_kind = openblas_kind();
    if (auto* const core = symbol<char*()>("openblas_get_corename")) info.blas_core = core();
  } else if (path.find("mkl") != std::string::npos || (file.starts_with("libtorch") && at::hasMKL())) {
    info.blas_kind = BlasKind::mkl;
  } else if (path.find("blis") != std::string::npos || path.find("atlas") != std::string::npos) {
    info.blas_kind = BlasKind::other;
  } else {
    info.blas_kind = file.starts_with("libblas.so") ? BlasKind::reference : BlasKind::other;
  }
}

// oneDNN's answer begins with three numbers; its header is not needed for them.
std::string onednn_version() {
  struct Version {
    int major, minor, patch;
  };
  auto* const version = symbol<const Version*()>("dnnl_version");
  if (version == nullptr) return "";
  const Version* v = version();
  return std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
}

}  // namespace

MachineInfo inspect_machine() {
  MachineInfo info;
  const CgroupLimits limits = read_cgroup_limits();
  info.cpu_model = cpuinfo({"model name", "Model"});
  info.logical_cores = ::sysconf(_SC_NPROCESSORS_ONLN);
  info.usable_cores = physical_cores();
  if (limits.cpus) info.usable_cores = std::min<int64_t>(info.usable_cores, std::llround(*limits.cpus));
  info.usable_cores = std::max<int64_t>(info.usable_cores, 1);
  info.memory_bytes =
      static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(::sysconf(_SC_PAGE_SIZE));
  if (limits.memory_bytes) info.memory_bytes = std::min(info.memory_bytes, *limits.memory_bytes);
  info.instruction_sets = instruction_sets();
  info.isa = usable_isa();
  find_blas(info);
  info.torch_version = TORCH_VERSION;
  info.torch_threads = at::get_num_threads();
  info.onednn_version = onednn_version();
  info.keeps_freed_memory = malloc_is_tuned();
  info.asks_for_huge_pages =
      environment("GLIBC_TUNABLES").find("glibc.malloc.hugetlb=1") != std::string::npos;
  const DeviceSupport devices = inspect_devices();
  info.gpus = list_gpus();
  info.torch_has_cuda = devices.cuda_build;
  info.usable_gpus = devices.num_gpus;
  info.openblas_coretype = environment("OPENBLAS_CORETYPE");
  info.omp_num_threads = environment("OMP_NUM_THREADS");
  info.omp_proc_bind = environment("OMP_PROC_BIND");
  return info;
}

}  // namespace cavmae
