#include "cavmae/nn/unset_parameters.h"

#include <cstddef>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace cavmae {
namespace {

thread_local int t_unset = 0;

// Note [Untouched memory]. malloc writes its notes between blocks, which clears a huge page for every 2 MB of
// weights where it asks for such (Note [Process settings]): as much as zeros would cost. A mapping of its own
// costs nothing before it is written, and nothing at all if the parameter becomes a part of a mapped file.
torch::Tensor untouched(torch::IntArrayRef sizes) {
#if defined(__linux__)
  constexpr size_t kWorthMapping = size_t{1} << 19;
  const size_t bytes = sizeof(float) * static_cast<size_t>(c10::multiply_integers(sizes));
  if (bytes >= kWorthMapping) {
    void* const memory =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory != MAP_FAILED) {
      ::madvise(memory, bytes, MADV_HUGEPAGE);  // for values that are copied; without them it is slower
      return torch::from_blob(memory, sizes, [bytes](void* mapped) { ::munmap(mapped, bytes); });
    }
  }
#endif
  return torch::empty(sizes);
}

}  // namespace

UnsetParameters::UnsetParameters() {
  ++t_unset;
}

UnsetParameters::~UnsetParameters() {
  --t_unset;
}

torch::Tensor new_weight(torch::IntArrayRef sizes) {
  return t_unset > 0 ? untouched(sizes) : torch::zeros(sizes);
}

}  // namespace cavmae
