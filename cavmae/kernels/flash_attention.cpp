#include "cavmae/kernels/flash_attention.h"

#include <algorithm>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/core/parallel.h"
#include "cavmae/kernels/attention_head.h"
#include "cavmae/kernels/buffer.h"
#include "cavmae/kernels/tile_kernels.h"
#include "cavmae/kernels/versions.h"

namespace cavmae::kernels {
namespace {

using Use = AttentionKernel::Use;

// Operands of bf16 are multiplied as bf16 by avx512_bf16 and on tiles, and widened by the others; sums are
// float. amx's share is that of a prototype of the forward pass.
constexpr AttentionKernel kAttentionKernels[] = {
    {"baseline", Isa::baseline, Use::any_element, {Instruction::fp32_fma, 0.1}, baseline_head_kernel},
#ifdef CAVMAE_X86_KERNELS
    {"avx2", Isa::avx2, Use::any_element, {Instruction::fp32_fma, 0.4}, avx2_head_kernel},
    {"avx512", Isa::avx512, Use::any_element, {Instruction::fp32_fma, 0.6}, avx512_head_kernel},
    {"avx512_bf16", Isa::avx512_bf16, Use::bf16, {Instruction::vdpbf16ps, 0.6}, avx512_bf16_head_kernel},
    {"amx", Isa::amx_bf16, Use::bf16, {Instruction::tdpbf16ps, 0.14}, amx_head_kernel},
    // avx512_bf16's code without its two instructions.
    {"avx512_bf16_via_fp32",
     Isa::avx512,
     Use::tests,
     {Instruction::fp32_fma, 0.2},
     avx512_bf16_via_fp32_head_kernel},
    // amx's code without tiles.
    {"emulated_tiles_avx512_bf16",
     Isa::avx512_bf16,
     Use::tests,
     {Instruction::fp32_fma, 0.01},
     emulated_tiles_avx512_bf16_head_kernel},
#endif
    // And without AVX-512.
    {"emulated_tiles", Isa::baseline, Use::tests, {Instruction::fp32_fma, 0.01}, emulated_tiles_head_kernel},
};

std::vector<const AttentionKernel*> usable_attention_on(const EngineMachine& machine) {
  std::vector<const AttentionKernel*> usable;
  for (const AttentionKernel& kernel : kAttentionKernels)
    if (machine.isa.has(kernel.needs) && (kernel.needs != Isa::amx_bf16 || machine.tiles_trouble().empty()))
      usable.push_back(&kernel);
  return usable;
}

ChosenAttention& chosen_attention(Element element) {
  if (element == Element::f32) {
    static ChosenAttention f32 = attention_kernel_on(this_machine(), Element::f32);
    return f32;
  }
  static ChosenAttention bf16 = attention_kernel_on(this_machine(), Element::bf16);
  return bf16;
}

HeadKernel head_kernel(const AttentionKernel& kernel) {
  CAVMAE_CHECK(usable_isa().has(kernel.needs), "this process may not run the attention kernel ", kernel.name);
  return kernel.functions();
}

void check(const AttentionCall& call) {
  CAVMAE_CHECK(call.head_width >= 1 && call.head_width <= kMaxHeadWidth, "attention: a head width of ",
               call.head_width, " is not in 1 to ", kMaxHeadWidth);
}

// Head `i` of all clips' heads.
HeadRows head(const AttentionCall& call, const HeadsView& view, int64_t i) {
  const int64_t offset = i / call.heads * view.clip_stride + i % call.heads * call.head_width;
  return {static_cast<char*>(view.data) + offset * bytes_of(call.element), view.row_stride};
}
ConstHeadRows head(const AttentionCall& call, const ConstHeadsView& view, int64_t i) {
  const int64_t offset = i / call.heads * view.clip_stride + i % call.heads * call.head_width;
  return {static_cast<const char*>(view.data) + offset * bytes_of(call.element), view.row_stride};
}

HeadSizes head_sizes(const AttentionCall& call) {
  return {.queries = call.queries, .keys = call.keys, .width = call.head_width, .element = call.element};
}

// Calls work(task_of(i), scratch) for i in 0..count; each task knows its thread's next one.
template <class TaskOf, class Work>
void for_each(int64_t count, size_t scratch_bytes, const TaskOf& task_of, const Work& work) {
  at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    const Buffer scratch(static_cast<int64_t>(scratch_bytes));
    for (int64_t i = begin; i < end; ++i) {
      auto task = task_of(i);
      const auto next = task_of(std::min(i + 1, end - 1));
      if (i + 1 < end) task.next = &next;
      work(task, scratch.data());
    }
  });
}

// Into how many parts the queries of a head go so that all threads have work. What a query gets does not
// depend on the others, but each part packs the keys and values anew.
int64_t parts_of_queries(const AttentionCall& call) {
  constexpr int64_t kTasksPerThread = 2, kMinQueries = 64;
  const int64_t heads = call.clips * call.heads, wanted = kTasksPerThread * at::get_num_threads();
  if (heads >= wanted || heads == 0) return 1;
  return std::clamp<int64_t>(call.queries / kMinQueries, 1, (wanted + heads - 1) / heads);
}

void* at_row(const HeadRows& rows, Element element, int64_t row) {
  return static_cast<char*>(rows.data) + row * rows.row_stride * bytes_of(element);
}
const void* at_row(const ConstHeadRows& rows, Element element, int64_t row) {
  return static_cast<const char*>(rows.data) + row * rows.row_stride * bytes_of(element);
}

// The queries from `first` to `end` alone.
HeadForward part_of(HeadForward task, int64_t first, int64_t end) {
  task.sizes.queries = end - first;
  task.q.data = at_row(task.q, task.sizes.element, first);
  task.out.data = at_row(task.out, task.sizes.element, first);
  if (task.log_sum_exp != nullptr) task.log_sum_exp += first;
  return task;
}

}  // namespace

std::vector<const AttentionKernel*> usable_attention_kernels() {
  return usable_attention_on(this_machine());
}

ChosenAttention attention_kernel_on(const EngineMachine& machine, Element element) {
  std::vector<const AttentionKernel*> kernels;
  std::vector<Engine> engines;
  for (const AttentionKernel* kernel : usable_attention_on(machine)) {
    const bool fits = kernel->use == Use::any_element || element == Element::bf16;
    if (!fits) continue;
    kernels.push_back(kernel);
    engines.push_back({.name = kernel->name, .speed = kernel->speed, .pays = kernel->use != Use::tests});
  }
  EngineChoice choice = choose_engine(Job::attention, element, engines, machine.rates);
  return {.kernel = kernels[choice.index], .why = std::move(choice.reason)};
}

const AttentionKernel& best_attention_kernel(Element element) {
  return *chosen_attention(element).kernel;
}

std::string why_best_attention_kernel(Element element) {
  return chosen_attention(element).why;
}

void choose_attention_kernel(Element element) {
  chosen_attention(element) = attention_kernel_on(this_machine(), element);
}

void flash_attention_forward(const AttentionCall& call, const AttentionForward& arrays,
                             const AttentionKernel& kernel) {
  check(call);
  const HeadKernel chosen = head_kernel(kernel);
  const HeadSizes sizes = head_sizes(call);
  const int64_t parts = parts_of_queries(call);
  const auto task_of = [&](int64_t i) {
    const int64_t head_index = i / parts, part = i % parts;
    const HeadForward task = {
        .sizes = sizes,
        .q = head(call, arrays.q, head_index),
        .k = head(call, arrays.k, head_index),
        .v = head(call, arrays.v, head_index),
        .out = head(call, arrays.out, head_index),
        .log_sum_exp =
            arrays.log_sum_exp == nullptr ? nullptr : arrays.log_sum_exp + head_index * call.queries,
    };
    return part_of(task, call.queries * part / parts, call.queries * (part + 1) / parts);
  };
  for_each(call.clips * call.heads * parts, chosen.forward_scratch_bytes(sizes), task_of, chosen.forward);
}

void flash_attention_backward(const AttentionCall& call, const AttentionBackward& arrays,
                              const AttentionKernel& kernel) {
  check(call);
  const HeadKernel chosen = head_kernel(kernel);
  const HeadSizes sizes = head_sizes(call);
  const auto task_of = [&](int64_t i) {
    return HeadBackward{
        .sizes = sizes,
        .q = head(call, arrays.q, i),
        .k = head(call, arrays.k, i),
        .v = head(call, arrays.v, i),
        .out = head(call, arrays.out, i),
        .d_out = head(call, arrays.d_out, i),
        .log_sum_exp = arrays.log_sum_exp + i * call.queries,
        .d_q = head(call, arrays.d_q, i),
        .d_k = head(call, arrays.d_k, i),
        .d_v = head(call, arrays.d_v, i),
    };
  };
  for_each(call.clips * call.heads, chosen.backward_scratch_bytes(sizes), task_of, chosen.backward);
}

void flash_attention_forward(const AttentionCall& call, const AttentionForward& arrays) {
  flash_attention_forward(call, arrays, best_attention_kernel(call.element));
}

void flash_attention_backward(const AttentionCall& call, const AttentionBackward& arrays) {
  flash_attention_backward(call, arrays, best_attention_kernel(call.element));
}

}  // namespace cavmae::kernels
