// One head of one clip, as the versions of the attention kernel take it; not for others. Plain arrays; each
// thread brings its own scratch memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cavmae/kernels/flash_attention.h"

namespace cavmae::kernels {

// Element [rows, d]; d is dense.
struct HeadRows {
  void* data = nullptr;
  int64_t row_stride = 0;  // in elements
};
struct ConstHeadRows {
  const void* data = nullptr;
  int64_t row_stride = 0;
};

struct HeadSizes {
  int64_t queries = 0, keys = 0, width = 0;  // M, L, d
  Element element = Element::f32;
};

struct HeadForward {
  HeadSizes sizes;
  ConstHeadRows q, k, v;
  HeadRows out;
  float* log_sum_exp = nullptr;  // float [M] or null
  // What the same thread does next, or null: its rows are fetched into the cache meanwhile. A head's rows lie
  // far apart, so that the processor does not see it coming.
  const HeadForward* next = nullptr;
};

struct HeadBackward {
  HeadSizes sizes;
  ConstHeadRows q, k, v, out, d_out;
  const float* log_sum_exp = nullptr;  // float [M]
  HeadRows d_q, d_k, d_v;
  const HeadBackward* next = nullptr;  // as in HeadForward
};

// A version of the code. `scratch` is aligned to 64 bytes and holds what scratch_bytes says; what is in it
// does not matter before and after.
struct HeadKernel {
  size_t (*forward_scratch_bytes)(const HeadSizes&) = nullptr;
  size_t (*backward_scratch_bytes)(const HeadSizes&) = nullptr;
  void (*forward)(const HeadForward&, void* scratch) = nullptr;
  void (*backward)(const HeadBackward&, void* scratch) = nullptr;
};

}  // namespace cavmae::kernels
