// Multi-head attention, softmax(q k^T / sqrt(d)) v, and its gradients on plain arrays, straight from packed
// queries, keys and values. The weights [B, H, M, L] are never in memory. Letters: cavmae/core/shapes.h; M
// queries, d width of a head. Safe from several threads on different outputs; works with LibTorch's threads.
#pragma once

#include <cstdint>
#include <vector>

#include "cavmae/isa/isa.h"
#include "cavmae/kernels/engines.h"
#include "cavmae/kernels/types.h"

namespace cavmae::kernels {

// One operand, element [B, rows, H, d] in whatever memory it lies: d is dense, heads are d apart. Strides
// count elements.
struct HeadsView {
  void* data = nullptr;
  int64_t clip_stride = 0, row_stride = 0;
};
struct ConstHeadsView {
  const void* data = nullptr;
  int64_t clip_stride = 0, row_stride = 0;

  ConstHeadsView() = default;
  ConstHeadsView(const void* first, int64_t clip_apart, int64_t row_apart)
      : data(first), clip_stride(clip_apart), row_stride(row_apart) {}
  ConstHeadsView(const HeadsView& view)  // NOLINT: what may be written may be read
      : ConstHeadsView(view.data, view.clip_stride, view.row_stride) {}
};

struct AttentionCall {
  int64_t clips = 0;               // B
  int64_t queries = 0;             // M
  int64_t keys = 0;                // L
  int64_t heads = 0;               // H
  int64_t head_width = 0;          // d, 1 to kMaxHeadWidth
  Element element = Element::f32;  // of every operand; sums are float
};
inline constexpr int64_t kMaxHeadWidth = 256;

struct AttentionForward {
  ConstHeadsView q, k, v;
  HeadsView out;
  float* log_sum_exp = nullptr;  // float [B, H, M], what the backward pass needs; null where there is none
};

struct AttentionBackward {
  ConstHeadsView q, k, v, out, d_out;
  const float* log_sum_exp = nullptr;  // float [B, H, M], of the forward pass
  HeadsView d_q, d_k, d_v;             // overwritten; they overlap nothing above
};

// A version of the code. The result of one does not depend on the number of threads.
struct HeadKernel;
struct AttentionKernel {
  enum class Use { any_element, bf16, tests };  // what it is chosen for

  const char* name;
  Isa needs;
  Use use;
  Speed speed;
  HeadKernel (*functions)();
};

// Those that this process may run, from the slowest; then those for tests.
std::vector<const AttentionKernel*> usable_attention_kernels();
// The one that is taken for operands of this kind: Note [Engines].
const AttentionKernel& best_attention_kernel(Element element);
std::string why_best_attention_kernel(Element element);
// Chooses anew, for use_engines().
void choose_attention_kernel(Element element);
// What would be taken on another machine.
struct ChosenAttention {
  const AttentionKernel* kernel;
  std::string why;
};
ChosenAttention attention_kernel_on(const EngineMachine& machine, Element element);

void flash_attention_forward(const AttentionCall& call, const AttentionForward& arrays);
void flash_attention_backward(const AttentionCall& call, const AttentionBackward& arrays);

// The same by one of the usable versions.
void flash_attention_forward(const AttentionCall& call, const AttentionForward& arrays,
                             const AttentionKernel& kernel);
void flash_attention_backward(const AttentionCall& call, const AttentionBackward& arrays,
                              const AttentionKernel& kernel);

}  // namespace cavmae::kernels
