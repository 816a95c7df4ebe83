#include "cavmae/picture/resize_plan.h"

#include <algorithm>
#include <cmath>

namespace cavmae {
namespace {

constexpr ResizeKernel kResizeKernels[] = {
    {"baseline", Isa::baseline, {.rows = resize_rows_baseline, .columns = resize_columns_baseline}},
#ifdef CAVMAE_X86_KERNELS
    {"avx2", Isa::avx2, {.rows = resize_rows_avx2, .columns = resize_columns_avx2}},
#endif
};

constexpr double kFilterRadius = 2.0;
constexpr double kOne = 4194304.0;  // 2^22, the fixed point

double cubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
  if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
  return 0.0;
}

}  // namespace

ResizeTaps make_resize_taps(const ResizeRange& range) {
  const double scale = static_cast<double>(range.input_px) / static_cast<double>(range.output_px);
  const double stretch = std::max(scale, 1.0);
  const double radius = kFilterRadius * stretch;
  ResizeTaps out;
  out.num_taps = 2 * (static_cast<int64_t>(std::ceil(radius)) + 1);
  out.taps.assign(static_cast<size_t>(range.num_outputs_px * out.num_taps), 0);
  std::vector<double> weights(static_cast<size_t>(out.num_taps));
  for (int64_t i = 0; i < range.num_outputs_px; ++i) {
    const double center = (static_cast<double>(range.first_px + i) + 0.5) * scale;
    const auto first = std::max<int64_t>(0, static_cast<int64_t>(center - radius + 0.5));
    const auto last = std::min<int64_t>(range.input_px, static_cast<int64_t>(center + radius + 0.5));
    double sum = 0.0;
    for (int64_t x = first; x < last; ++x)
      sum += weights[static_cast<size_t>(x - first)] =
          cubic((static_cast<double>(x) - center + 0.5) * (1.0 / stretch));
    int32_t* taps = out.taps.data() + i * out.num_taps;
    for (int64_t x = 0; x < last - first; ++x) {
      const double tap = weights[static_cast<size_t>(x)] / sum * kOne;
      taps[x] = static_cast<int32_t>(tap < 0.0 ? tap - 0.5 : tap + 0.5);
    }
    out.first.push_back(static_cast<int32_t>(first));
    out.count.push_back(static_cast<int32_t>(last - first));
  }
  for (size_t i = 0; i < out.taps.size(); i += 2) {
    const int32_t s = out.taps[i], t = out.taps[i + 1];
    out.paired.insert(out.paired.end(), {s, s, s, t, t, t, 0, 0});
  }
  return out;
}

std::vector<const ResizeKernel*> usable_resize_kernels() {
  return usable_versions(kResizeKernels);
}

const ResizeKernel& best_resize_kernel() {
  return *best_version(kResizeKernels);
}

}  // namespace cavmae
