#include "cavmae/nn/clip_groups.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "cavmae/kernels/matmul.h"

namespace cavmae {
namespace {

constexpr int64_t kWidestNarrow = 192;
// 256 KB, whose hidden values of the MLP stay within the caches of a core.
constexpr int64_t kNarrowGroupValues = 65'536;
// Eight clips of the decoder's 708 tokens.
constexpr int64_t kWideGroupValues = int64_t{8} * 708 * 512;

// oneDNN makes a product for a number of threads; within a parallel loop one of them alone would compute its
// share of it.
bool compute_within_parallel_loops(const kernels::MatmulBackends& backends) {
  return std::ranges::none_of(
      std::array{backends.forward, backends.dgrad, backends.wgrad},
      [](const auto* backend) { return std::string_view(backend->name) == "onednn"; });
}

}  // namespace

bool groups_go_side_by_side(int64_t width, kernels::Element element) {
  return width <= kWidestNarrow && compute_within_parallel_loops(kernels::best_matmul_backends(element));
}

int64_t group_values_for(int64_t width, kernels::Element element) {
  if (groups_go_side_by_side(width, element)) return kNarrowGroupValues;
  return kernels::best_matmul_backends(element).forward_by_tiles ? kWideGroupValues : 0;
}

}  // namespace cavmae
