// Golden vectors and how close a tensor comes to them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/json.h"
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

// The inputs of a golden file, whose metadata tell their sizes and the seed of the generator that they are
// standard normal numbers of: audio's, then video's. A LibTorch that draws others is told from the first of
// them, which the file holds.
struct SeededInputs {
  torch::Tensor audio, video;
};
inline SeededInputs seeded_inputs(const TensorFile& file) {
  const Json stated = parse_json(file.metadata.at("input"), "input");
  const auto generator = at::detail::createCPUGenerator(stated.at("seed").get<uint64_t>());
  const auto draw = [&](const char* name) {
    torch::Tensor input =
        torch::randn(stated.at(name).get<std::vector<int64_t>>(), generator, torch::kFloat32);
    const torch::Tensor& begin = file.at(std::string("input.") + name + "_begin");
    EXPECT_THAT(input.flatten().narrow(0, 0, begin.numel()), IsNear(begin, 1e-5));
    return input;
  };
  SeededInputs inputs;
  inputs.audio = draw("audio");
  inputs.video = draw("video");
  return inputs;
}

// A gradient that is stored whole, or by its products with cosines on either side. (Plain sums would not do:
// over a residual stream's channels they are 0.) Terms of these products cancel, so that they are less exact
// than what they are of: 1.11e-5 where OpenBLAS takes its AVX-512 kernels and 1e-5 is asked of the rest.
inline void expect_gradient(const torch::Tensor& gradient, const TensorFile& file, const std::string& name,
                            double tolerance) {
  if (const torch::Tensor* whole = file.find(name)) {
    EXPECT_THAT(gradient, IsNear(*whole, tolerance)) << name;
    return;
  }
  const auto cosines = [](int64_t count) { return torch::arange(count, torch::kFloat64).cos(); };
  const double of_products = 1.2 * tolerance;
  const torch::Tensor& over_inputs = file.at(name + ".times_cosines");  // double [outputs]
  const torch::Tensor matrix = gradient.to(torch::kCPU, torch::kFloat64).reshape({over_inputs.size(0), -1});
  EXPECT_THAT(matrix.mv(cosines(matrix.size(1))), IsNear(over_inputs, of_products)) << name;
  EXPECT_THAT(cosines(matrix.size(0)).matmul(matrix), IsNear(file.at(name + ".cosines_times"), of_products))
      << name;
}

}  // namespace cavmae::testing_support
