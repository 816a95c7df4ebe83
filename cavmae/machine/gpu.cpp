#include "cavmae/machine/gpu.h"

#include <array>
#include <cstddef>

#include <dlfcn.h>

namespace cavmae {
namespace {

// The part of the driver's interface that is used here: it is the same in every version since CUDA 3.2, and
// looking it up at run time needs neither CUDA's headers nor a GPU to build with.
class Driver {
 public:
  using Result = int;  // 0: success
  using Device = int;

  static const Driver* get() {
    static const Driver driver;
    return driver.usable_ ? &driver : nullptr;
  }

  Result (*device_count)(int*) = nullptr;
  Result (*device_get)(Device*, int) = nullptr;
  Result (*device_name)(char*, int, Device) = nullptr;
  Result (*device_memory)(size_t*, Device) = nullptr;
  Result (*device_attribute)(int*, int, Device) = nullptr;
  Result (*memory_info)(size_t*, size_t*) = nullptr;

 private:
  Driver() {
    library_ = ::dlopen("libcuda.so.1", RTLD_NOW);
    if (library_ == nullptr) return;
    Result (*init)(unsigned) = nullptr;
    usable_ = find("cuInit", init) && find("cuDeviceGetCount", device_count) &&
              find("cuDeviceGet", device_get) && find("cuDeviceGetName", device_name) &&
              find("cuDeviceTotalMem_v2", device_memory) && find("cuDeviceGetAttribute", device_attribute) &&
              find("cuMemGetInfo_v2", memory_info) && init(0) == 0;
  }

  template <class Function>
  bool find(const char* name, Function*& function) {
    function = reinterpret_cast<Function*>(::dlsym(library_, name));
    return function != nullptr;
  }

  void* library_ = nullptr;  // stays open: LibTorch uses it too
  bool usable_ = false;
};

// Of CUdevice_attribute.
constexpr int kComputeCapabilityMajor = 75, kComputeCapabilityMinor = 76;

}  // namespace

std::vector<Gpu> list_gpus() {
  std::vector<Gpu> gpus;
  const Driver* driver = Driver::get();
  int count = 0;
  if (driver == nullptr || driver->device_count(&count) != 0) return gpus;
  for (int i = 0; i < count; ++i) {
    Driver::Device device = 0;
    std::array<char, 256> name = {};
    size_t memory = 0;
    int major = 0, minor = 0;
    if (driver->device_get(&device, i) != 0) continue;
    driver->device_name(name.data(), static_cast<int>(name.size() - 1), device);
    driver->device_memory(&memory, device);
    driver->device_attribute(&major, kComputeCapabilityMajor, device);
    driver->device_attribute(&minor, kComputeCapabilityMinor, device);
    gpus.push_back({.name = name.data(),
                    .memory_bytes = memory,
                    .compute_capability = std::to_string(major) + "." + std::to_string(minor)});
  }
  return gpus;
}

std::optional<uint64_t> gpu_bytes_in_use() {
  const Driver* driver = Driver::get();
  size_t free = 0, total = 0;
  if (driver == nullptr || driver->memory_info(&free, &total) != 0) return std::nullopt;
  return total - free;
}

}  // namespace cavmae
