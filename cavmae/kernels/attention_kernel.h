// Makes a version of the attention kernel out of its Simd types. Included once by each version's .cpp.
#pragma once

#include "cavmae/kernels/attention_backward.h"

namespace cavmae::kernels {
namespace {

// Calls work(head) with the least distance of rows that holds them: the model has heads of 32 and 64, and
// rows further apart than need be leave parts of the cache unused.
template <class S, template <class, int> class Head, class Task, class Work>
CAVMAE_INLINE auto with_width(const Task& task, void* scratch, const Work& work) {
  if (task.sizes.width <= 32) return work(Head<S, 32>(task, scratch));
  if (task.sizes.width <= 64) return work(Head<S, 64>(task, scratch));
  return work(Head<S, kMaxHeadWidth>(task, scratch));
}

template <class Float, class Bf16, template <class, int> class Head, class Task, class Work>
CAVMAE_INLINE auto with_head(const Task& task, void* scratch, const Work& work) {
  if (task.sizes.element == Element::bf16) return with_width<Bf16, Head>(task, scratch, work);
  return with_width<Float, Head>(task, scratch, work);
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
