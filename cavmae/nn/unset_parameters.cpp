#include "cavmae/nn/unset_parameters.h"

#include <cstddef>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace cavmae {
namespace {

thread_local const UnsetParameters* t_innermost = nullptr;

// Note [Untouched memory]. malloc writes its notes between blocks. Where it asks for huge pages (Note
// [Process settings]), that clears one for every 2 MB of weights, which takes as long as zeros would. A
// mapping of its own costs nothing before it is written.
torch::Tensor untouched(torch::IntArrayRef sizes) {
#if defined(__linux__)
  constexpr size_t kWorthMapping = size_t{1} << 19;
  const size_t bytes = sizeof(float) * static_cast<size_t>(c10::multiply_integers(sizes));
  if (bytes >= kWorthMapping) {
    void* const memory =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory != MAP_FAILED)
      return torch::from_blob(memory, sizes, [bytes](void* mapped) { ::munmap(mapped, bytes); });
  }
#endif
  return torch::empty(sizes);
}

}  // namespace

UnsetParameters::UnsetParameters(UnsetMemory memory) : outer_(t_innermost), memory_(memory) {
  t_innermost = this;
}

UnsetParameters::~UnsetParameters() {
  t_innermost = outer_;
}

bool parameters_stay_unset() {
  return t_innermost != nullptr;
}

torch::Tensor new_weight(torch::IntArrayRef sizes) {
  if (t_innermost == nullptr) return torch::zeros(sizes);
  return t_innermost->memory_ == UnsetMemory::to_be_replaced ? untouched(sizes) : torch::empty(sizes);
}

}  // namespace cavmae
