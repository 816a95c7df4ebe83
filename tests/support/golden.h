// Golden vectors and how close a tensor comes to them.
#pragma once

#include <filesystem>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/torch.h"
#include "cavmae/tensorfile/pth.h"
#include "cavmae/tensorfile/safetensors.h"

namespace cavmae::testing_support {

inline std::filesystem::path golden_path(const std::string& name) {
  return std::filesystem::path(CAVMAE_TEST_DATA) / "golden" / name;
}

inline TensorFile golden(const std::string& name) {
  return read_safetensors(golden_path(name + ".safetensors"));
}

// The parameters of the cavmae_* files.
inline NamedTensors golden_parameters() {
  return strip_prefix(read_pth(golden_path("authors_pretrain.pth")), "module.");
}

// The largest difference, as a share of the largest magnitude in `expected`. An element that is small beside
// its neighbours is a sum of terms as large as theirs, and is no more exact than they are.
inline double relative_error(const torch::Tensor& actual, const torch::Tensor& expected) {
  const auto a = actual.detach().to(torch::kCPU, torch::kFloat64),
             e = expected.detach().to(torch::kCPU, torch::kFloat64);
  if (a.numel() == 0) return 0.0;
  const double largest = e.abs().max().item<double>();
  return (a - e).abs().max().item<double>() / (largest > 0 ? largest : 1.0);
}

// Passes when the sizes agree and relative_error is at most `tolerance`.
MATCHER_P2(IsNear, expected, tolerance, "") {
  if (!arg.defined()) {
    *result_listener << "which is undefined";
    return false;
  }
  if (arg.sizes() != expected.sizes()) {
    *result_listener << "which is " << arg.sizes() << " instead of " << expected.sizes();
    return false;
  }
  const double error = relative_error(arg, expected);
  *result_listener << "whose relative error is " << error;
  return error <= tolerance;  // false for NaN
}

}  // namespace cavmae::testing_support
