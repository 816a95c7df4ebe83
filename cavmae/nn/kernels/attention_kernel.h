// Makes a version of the attention kernel out of its Simd types. Included once by each version's .cpp.
#pragma once

#include "cavmae/nn/kernels/attention_backward.h"

namespace cavmae::kernels {
namespace {

// S for the element of the operands, with the least distance of rows that holds them: two distances bound
// the size of the code.
template <class Float, class Bf16, template <class, int> class Head, class Task, class Work>
CAVMAE_INLINE auto with_head(const Task& task, void* scratch, const Work& work) {
  constexpr int kCommonWidth = 64;
  const bool common = task.sizes.width <= kCommonWidth;
  if (task.sizes.element == Element::bf16) {
    if (common) return work(Head<Bf16, kCommonWidth>(task, scratch));
    return work(Head<Bf16, kMaxHeadWidth>(task, scratch));
  }
  if (common) return work(Head<Float, kCommonWidth>(task, scratch));
  return work(Head<Float, kMaxHeadWidth>(task, scratch));
}

template <class Float, class Bf16>
HeadKernel make_head_kernel() {
  return {
      .forward_scratch_bytes =
          [](const HeadSizes& sizes) {
            HeadForward task;
            task.sizes = sizes;
            return with_head<Float, Bf16, HeadAttention>(task, nullptr,
                                                         [](auto&& head) { return head.scratch_bytes(); });
          },
      .backward_scratch_bytes =
          [](const HeadSizes& sizes) {
            HeadBackward task;
            task.sizes = sizes;
            return with_head<Float, Bf16, HeadGradients>(task, nullptr,
                                                         [](auto&& head) { return head.scratch_bytes(); });
          },
      .forward =
          [](const HeadForward& task, void* scratch) {
            with_head<Float, Bf16, HeadAttention>(task, scratch, [](auto&& head) { head.run(); });
          },
      .backward =
          [](const HeadBackward& task, void* scratch) {
            with_head<Float, Bf16, HeadGradients>(task, scratch, [](auto&& head) { head.run(); });
          },
  };
}

}  // namespace
}  // namespace cavmae::kernels
