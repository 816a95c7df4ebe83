#include "cavmae/kernels/flash_attention.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>

#include "cavmae/core/error.h"
#include "cavmae/core/parallel.h"
#include "cavmae/kernels/attention_head.h"
#include "cavmae/kernels/instruction_set.h"

namespace cavmae::kernels {
namespace {

constexpr AttentionKernel kAllKernels[] = {AttentionKernel::baseline, AttentionKernel::avx2,
                                           AttentionKernel::avx512, AttentionKernel::avx512_bf16,
                                           AttentionKernel::avx512_bf16_emulated};

HeadKernel head_kernel(AttentionKernel kernel) {
  switch (kernel) {
    case AttentionKernel::baseline:
      return baseline_head_kernel();
    case AttentionKernel::avx2:
      return avx2_head_kernel();
    case AttentionKernel::avx512:
      return avx512_head_kernel();
    case AttentionKernel::avx512_bf16:
      return avx512_bf16_head_kernel();
    case AttentionKernel::avx512_bf16_emulated:
      return avx512_emulated_head_kernel();
  }
  return {};
}

bool processor_has(AttentionKernel kernel) {
  if (kernel == AttentionKernel::baseline) return true;
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return false;
  if (kernel == AttentionKernel::avx2) return true;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
    return false;
  return kernel != AttentionKernel::avx512_bf16 || __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

bool is_supported(AttentionKernel kernel) {
  return processor_has(kernel) && head_kernel(kernel).forward != nullptr;
}

HeadKernel supported_head_kernel(AttentionKernel kernel) {
  CAVMAE_CHECK(is_supported(kernel), "this processor cannot run the attention kernel ",
               attention_kernel_name(kernel));
  return head_kernel(kernel);
}

void check(const AttentionCall& call) {
  CAVMAE_CHECK(call.head_width >= 1 && call.head_width <= kMaxHeadWidth, "attention: a head width of ",
               call.head_width, " is not in 1 to ", kMaxHeadWidth);
}

size_t bytes(Element element) {
  return element == Element::bf16 ? 2 : 4;
}

// Head `i` of all clips' heads.
HeadRows head(const AttentionCall& call, const HeadsView& view, int64_t i) {
  const int64_t offset = i / call.heads * view.clip_stride + i % call.heads * call.head_width;
  return {static_cast<char*>(view.data) + offset * static_cast<int64_t>(bytes(call.element)),
          view.row_stride};
}
ConstHeadRows head(const AttentionCall& call, const ConstHeadsView& view, int64_t i) {
  const int64_t offset = i / call.heads * view.clip_stride + i % call.heads * call.head_width;
  return {static_cast<const char*>(view.data) + offset * static_cast<int64_t>(bytes(call.element)),
          view.row_stride};
}

HeadSizes head_sizes(const AttentionCall& call) {
  return {.queries = call.queries, .keys = call.keys, .width = call.head_width, .element = call.element};
}

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};
using Scratch = std::unique_ptr<void, Free>;

Scratch make_scratch(size_t wanted_bytes) {
  constexpr size_t kAlignment = 64;
  void* memory = std::aligned_alloc(kAlignment, (wanted_bytes / kAlignment + 1) * kAlignment);
  if (memory == nullptr) throw std::bad_alloc();
  return Scratch(memory);
}

// Calls work(task_of(i), scratch) for i in 0..count; each task knows its thread's next one.
template <class TaskOf, class Work>
void for_each(int64_t count, size_t scratch_bytes, const TaskOf& task_of, const Work& work) {
  at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    const Scratch scratch = make_scratch(scratch_bytes);
    for (int64_t i = begin; i < end; ++i) {
      auto task = task_of(i);
      const auto next = task_of(std::min(i + 1, end - 1));
      if (i + 1 < end) task.next = &next;
      work(task, scratch.get());
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
  return static_cast<char*>(rows.data) + row * rows.row_stride * static_cast<int64_t>(bytes(element));
}
const void* at_row(const ConstHeadRows& rows, Element element, int64_t row) {
  return static_cast<const char*>(rows.data) + row * rows.row_stride * static_cast<int64_t>(bytes(element));
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

std::vector<AttentionKernel> supported_attention_kernels() {
  std::vector<AttentionKernel> supported;
  for (const AttentionKernel kernel : kAllKernels)
    if (is_supported(kernel)) supported.push_back(kernel);
  return supported;
}

AttentionKernel best_attention_kernel(Element element) {
  const InstructionSet usable = usable_instructions();
  const auto fits = [&](AttentionKernel kernel, InstructionSet needed) {
    return usable >= needed && is_supported(kernel);
  };
  if (element == Element::bf16 && fits(AttentionKernel::avx512_bf16, InstructionSet::avx512_bf16))
    return AttentionKernel::avx512_bf16;
  if (fits(AttentionKernel::avx512, InstructionSet::avx512)) return AttentionKernel::avx512;
  return fits(AttentionKernel::avx2, InstructionSet::avx2) ? AttentionKernel::avx2
                                                           : AttentionKernel::baseline;
}

std::string attention_kernel_name(AttentionKernel kernel) {
  switch (kernel) {
    case AttentionKernel::baseline:
      return "baseline";
    case AttentionKernel::avx2:
      return "avx2";
    case AttentionKernel::avx512:
      return "avx512";
    case AttentionKernel::avx512_bf16:
      return "avx512_bf16";
    case AttentionKernel::avx512_bf16_emulated:
      return "avx512_bf16_emulated";
  }
  throw Error("no such attention kernel");
}

void flash_attention_forward(const AttentionCall& call, const AttentionForward& arrays,
                             AttentionKernel kernel) {
  check(call);
  const HeadKernel chosen = supported_head_kernel(kernel);
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
                              AttentionKernel kernel) {
  check(call);
  const HeadKernel chosen = supported_head_kernel(kernel);
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
