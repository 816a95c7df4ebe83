// Makes a version of the attention kernel out of tiles and a Simd type: Note [Attention on tiles]. Included
// once by each version's .cpp.
#pragma once

#include "cavmae/kernels/tile_attention_backward.h"

namespace cavmae::kernels {
namespace {

template <class V>
HeadKernel make_tile_head_kernel() {
  return {
      .forward_scratch_bytes =
          [](const HeadSizes& sizes) {
            if (sizes.element == Element::f32) return V::of_floats().forward_scratch_bytes(sizes);
            HeadForward task;
            task.sizes = sizes;
            return TileHeadAttention<V>(task, nullptr).scratch_bytes();
          },
      .backward_scratch_bytes =
          [](const HeadSizes& sizes) {
            if (sizes.element == Element::f32) return V::of_floats().backward_scratch_bytes(sizes);
            HeadBackward task;
            task.sizes = sizes;
            return TileHeadGradients<V>(task, nullptr).scratch_bytes();
          },
      .forward =
          [](const HeadForward& task, void* scratch) {
            if (task.sizes.element == Element::f32) return V::of_floats().forward(task, scratch);
            TileHeadAttention<V>(task, scratch).run();
          },
      .backward =
          [](const HeadBackward& task, void* scratch) {
            if (task.sizes.element == Element::f32) return V::of_floats().backward(task, scratch);
            TileHeadGradients<V>(task, scratch).run();
          },
  };
}

}  // namespace
}  // namespace cavmae::kernels
