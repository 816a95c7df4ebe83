// A small bf16 product of each kind by oneDNN, compared with the definition: instructions for them are young.
#include <algorithm>
#include <cmath>
#include <exception>
#include <random>
#include <vector>

#include "cavmae/core/error.h"
#include "cavmae/kernels/matmul.h"
#include "cavmae/kernels/row_kernels.h"
#include "cavmae/kernels/versions.h"

namespace cavmae::kernels {
namespace {

constexpr int64_t kRows = 40, kInputs = 64, kOutputs = 96;
using Floats = std::vector<float>;

int64_t size_of(const Floats& values) {
  return static_cast<int64_t>(values.size());
}

class Trial {
 public:
  std::string run() {
    forward(residual_.data(), Element::f32);
    const bool onto_residual =
        agrees(y_, [&](int64_t n, int64_t m) { return product(n, m) + at(residual_, n, m); });
    forward(nullptr, Element::bf16);
    widen(y16_.data(), y_.data(), size_of(y_));
    if (!onto_residual || !agrees(y_, [&](int64_t n, int64_t m) { return product(n, m); }))
      return "a forward product came out wrong";
    onednn_dgrad({.g = g(), .weight = weight(), .dx = {dx16_.data(), kRows, kInputs, Element::bf16}});
    widen(dx16_.data(), dx_.data(), size_of(dx_));
    if (!is_dgrad()) return "an input gradient came out wrong";
    if (!wgrad_is(Accumulate::yes)) return "an added weight gradient came out wrong";
    if (!wgrad_is(Accumulate::no)) return "a weight gradient came out wrong";
    return "";
  }

 private:
  Floats normal(int64_t count) {
    std::normal_distribution<float> distribution;
    Floats values(static_cast<size_t>(count));
    for (float& value : values) value = distribution(random_);
    return values;
  }
  Floats normal_bf16(int64_t count) {
    Floats values = normal(count);
    round_to_bf16_values(values.data(), values.data(), count);
    return values;
  }
  static std::vector<Bf16> bf16(const Floats& values) {
    std::vector<Bf16> rounded(values.size());
    round_to_bf16(values.data(), rounded.data(), size_of(values));
    return rounded;
  }

  ConstMatrix x() const { return {x16_.data(), kRows, kInputs, Element::bf16}; }
  ConstMatrix g() const { return {g16_.data(), kRows, kOutputs, Element::bf16}; }
  WeightRows weight() const { return {.data = weight_.data(), .rows = kOutputs, .columns = kInputs}; }

  void forward(const float* residual, Element element) {
    void* const y = element == Element::f32 ? static_cast<void*>(y_.data()) : y16_.data();
    onednn_forward({.x = x(),
                    .weight = weight(),
                    .bias = bias_.data(),
                    .residual = residual,
                    .y = {y, kRows, kOutputs, element}});
  }
  static double at(const Floats& values, int64_t row, int64_t column) {
    return values[static_cast<size_t>(row * kOutputs + column)];
  }
  double product(int64_t n, int64_t m) const {
    double sum = bias_[static_cast<size_t>(m)];
    for (int64_t k = 0; k < kInputs; ++k)
      sum += double{x_[static_cast<size_t>(n * kInputs + k)]} * weight_[static_cast<size_t>(m * kInputs + k)];
    return sum;
  }
  bool is_dgrad() const {
    return close(dx_, kRows, kInputs, [&](int64_t n, int64_t k) {
      double sum = 0;
      for (int64_t m = 0; m < kOutputs; ++m)
        sum += at(g_, n, m) * weight_[static_cast<size_t>(m * kInputs + k)];
      return sum;
    });
  }
  bool wgrad_is(Accumulate accumulate) {
    Floats d_weight(weight_.size(), 1.0f);
    onednn_wgrad({.g = g(), .x = x(), .d_weight = d_weight.data(), .accumulate = accumulate});
    return close(d_weight, kOutputs, kInputs, [&](int64_t m, int64_t k) {
      double sum = accumulate == Accumulate::yes ? 1 : 0;
      for (int64_t n = 0; n < kRows; ++n) sum += at(g_, n, m) * x_[static_cast<size_t>(n * kInputs + k)];
      return sum;
    });
  }

  template <class Expected>
  static bool agrees(const Floats& y, const Expected& expected) {
    return close(y, kRows, kOutputs, expected);
  }
  // bf16 has 8 bits. What is not a number is wrong.
  template <class Expected>
  static bool close(const Floats& ours, int64_t rows, int64_t columns, const Expected& expected) {
    double most = 0, greatest_error = 0;
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t column = 0; column < columns; ++column) {
        const double wanted = expected(row, column);
        const double error = std::abs(ours[static_cast<size_t>(row * columns + column)] - wanted);
        if (!std::isfinite(error)) return false;
        most = std::max(most, std::abs(wanted));
        greatest_error = std::max(greatest_error, error);
      }
    return greatest_error <= 2e-2 * most;
  }

  std::mt19937 random_{1};
  const Floats x_ = normal_bf16(kRows * kInputs), g_ = normal_bf16(kRows * kOutputs);
  const Floats weight_ = normal_bf16(kOutputs * kInputs), bias_ = normal(kOutputs);
  const Floats residual_ = normal(kRows * kOutputs);
  const std::vector<Bf16> x16_ = bf16(x_), g16_ = bf16(g_);
  Floats y_ = Floats(g_.size()), dx_ = Floats(x_.size());
  std::vector<Bf16> y16_ = std::vector<Bf16>(g_.size()), dx16_ = std::vector<Bf16>(x_.size());
};

}  // namespace

std::string try_onednn_bf16() {
  try {
    return Trial().run();
  } catch (const std::exception& error) {
    return concat("oneDNN says: ", error.what());
  }
}

}  // namespace cavmae::kernels
