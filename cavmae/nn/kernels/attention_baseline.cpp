// The attention of one head for every processor.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "cavmae/nn/kernels/attention_head.h"

namespace cavmae::kernels {
namespace {

float load(const void* data, int64_t i, Element element) {
  if (element == Element::f32) return static_cast<const float*>(data)[i];
  return std::bit_cast<float>(static_cast<uint32_t>(static_cast<const uint16_t*>(data)[i]) << 16);
}

void store(void* data, int64_t i, Element element, float value) {
  if (element == Element::f32) {
    static_cast<float*>(data)[i] = value;
    return;
  }
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  static_cast<uint16_t*>(data)[i] = static_cast<uint16_t>(std::isnan(value) ? 0x7fc0u : rounded);
}

// Rows of an operand in float, [rows, d].
void widen(const ConstHeadRows& rows, int64_t count, const HeadSizes& sizes, float* out) {
  for (int64_t i = 0; i < count; ++i)
    for (int64_t j = 0; j < sizes.width; ++j)
      out[i * sizes.width + j] = load(rows.data, i * rows.row_stride + j, sizes.element);
}

void narrow(const float* in, int64_t count, const HeadSizes& sizes, float scale, const HeadRows& rows) {
  for (int64_t i = 0; i < count; ++i)
    for (int64_t j = 0; j < sizes.width; ++j)
      store(rows.data, i * rows.row_stride + j, sizes.element, in[i * sizes.width + j] * scale);
}

float dot(const float* a, const float* b, int64_t n) {
  float sum = 0.0f;
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

void add_scaled(float* out, float factor, const float* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] += factor * x[i];
}

float scale_of(const HeadSizes& sizes) {
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(sizes.width)));
}

size_t forward_scratch_bytes(const HeadSizes& sizes) {
  return sizeof(float) *
         static_cast<size_t>(2 * sizes.keys * sizes.width + 2 * sizes.queries * sizes.width + sizes.keys);
}

void forward(const HeadForward& task, void* scratch) {
  const HeadSizes& sizes = task.sizes;
  const int64_t d = sizes.width;
  const float scale = scale_of(sizes);
  float* k = static_cast<float*>(scratch);
  float* v = k + sizes.keys * d;
  float* q = v + sizes.keys * d;
  float* out = q + sizes.queries * d;
  float* weights = out + sizes.queries * d;
  widen(task.q, sizes.queries, sizes, q);
  widen(task.k, sizes.keys, sizes, k);
  widen(task.v, sizes.keys, sizes, v);
  std::fill_n(out, sizes.queries * d, 0.0f);
  for (int64_t r = 0; r < sizes.queries; ++r) {
    float most = -std::numeric_limits<float>::infinity(), sum = 0.0f;
    for (int64_t c = 0; c < sizes.keys; ++c) {
      weights[c] = scale * dot(q + r * d, k + c * d, d);
      most = std::max(most, weights[c]);
    }
    for (int64_t c = 0; c < sizes.keys; ++c) sum += weights[c] = std::exp(weights[c] - most);
    for (int64_t c = 0; c < sizes.keys; ++c) add_scaled(out + r * d, weights[c] / sum, v + c * d, d);
    if (task.log_sum_exp != nullptr) task.log_sum_exp[r] = most + std::log(sum);
  }
  narrow(out, sizes.queries, sizes, 1.0f, task.out);
}

size_t backward_scratch_bytes(const HeadSizes& sizes) {
  return sizeof(float) * static_cast<size_t>(4 * sizes.keys * sizes.width + 4 * sizes.queries * sizes.width);
}

void backward(const HeadBackward& task, void* scratch) {
  const HeadSizes& sizes = task.sizes;
  const int64_t d = sizes.width, of_keys = sizes.keys * d, of_queries = sizes.queries * d;
  const float scale = scale_of(sizes);
  float* k = static_cast<float*>(scratch);
  float *v = k + of_keys, *d_k = v + of_keys, *d_v = d_k + of_keys;
  float *q = d_v + of_keys, *out = q + of_queries, *d_out = out + of_queries, *d_q = d_out + of_queries;
  widen(task.q, sizes.queries, sizes, q);
  widen(task.out, sizes.queries, sizes, out);
  widen(task.d_out, sizes.queries, sizes, d_out);
  widen(task.k, sizes.keys, sizes, k);
  widen(task.v, sizes.keys, sizes, v);
  std::fill_n(d_q, of_queries, 0.0f);
  std::fill_n(d_k, 2 * of_keys, 0.0f);  // and d_v
  for (int64_t r = 0; r < sizes.queries; ++r) {
    const float of_sum = dot(out + r * d, d_out + r * d, d);
    for (int64_t c = 0; c < sizes.keys; ++c) {
      const float weight = std::exp(scale * dot(q + r * d, k + c * d, d) - task.log_sum_exp[r]);
      const float of_product = weight * (dot(d_out + r * d, v + c * d, d) - of_sum);
      add_scaled(d_v + c * d, weight, d_out + r * d, d);
      add_scaled(d_k + c * d, of_product, q + r * d, d);
      add_scaled(d_q + r * d, of_product, k + c * d, d);
    }
  }
  narrow(d_q, sizes.queries, sizes, scale, task.d_q);
  narrow(d_k, sizes.keys, sizes, scale, task.d_k);
  narrow(d_v, sizes.keys, sizes, 1.0f, task.d_v);
}

}  // namespace

HeadKernel baseline_head_kernel() {
  return {.forward_scratch_bytes = forward_scratch_bytes,
          .backward_scratch_bytes = backward_scratch_bytes,
          .forward = forward,
          .backward = backward};
}

}  // namespace cavmae::kernels
