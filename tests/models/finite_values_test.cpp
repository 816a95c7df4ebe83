#include "cavmae/models/finite_values.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "cavmae/core/parallel.h"
#include "cavmae/tensorfile/safetensors.h"

#include "tests/support/temporary_folder.h"

namespace cavmae::finite_values_test {
namespace {

constexpr int64_t kOdd = 200'003;  // several pieces and a rest

struct Three : torch::nn::Module {
  Three() {
    for (const char* name : {"a", "b", "c"}) register_parameter(name, torch::full({kOdd}, 3e38f));
  }
  void set(const std::string& name, int64_t at, float value) {
    const torch::NoGradGuard no_grad;
    named_parameters()[name][at] = value;
  }
};

TEST(FirstNotFinite, IsNoneOfLargeValues) {
  EXPECT_EQ(first_not_finite(Three()), std::nullopt);  // whose sum is infinite
}

TEST(FirstNotFinite, IsFoundWhereverTheValueIs) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {std::nanf(""), -std::nanf(""), infinity, -infinity})
    for (const int64_t at : {int64_t{0}, int64_t{15}, int64_t{65'536}, kOdd - 1}) {
      Three network;
      network.set("b", at, bad);
      EXPECT_EQ(first_not_finite(network), "b") << bad << " at " << at;
    }
}

TEST(FirstNotFinite, IsTheFirstByNameWhateverTheThreads) {
  const int before = at::get_num_threads();
  Three network;
  network.set("c", 0, NAN);
  network.set("b", kOdd - 1, NAN);
  for (const int threads : {1, 2, 5}) {
    at::set_num_threads(threads);
    EXPECT_EQ(first_not_finite(network), "b") << threads;
  }
  at::set_num_threads(before);
}

TEST(FirstNotFinite, IsFoundInOtherTypes) {
  Three network;
  network.register_parameter("d", torch::zeros({4}, torch::kFloat64));
  EXPECT_EQ(first_not_finite(network), std::nullopt);
  network.set("d", 3, NAN);
  EXPECT_EQ(first_not_finite(network), "d");
}

TEST(FirstNotFinite, IsFoundInAFile) {
  const TemporaryFolder folder;
  torch::Tensor values = torch::ones({kOdd});
  values[kOdd - 2] = NAN;
  write_safetensors(folder / "x.safetensors", {{"a", torch::ones({kOdd})}, {"b", values}});
  const TensorFile file = map_safetensors(folder / "x.safetensors", FileOnceMapped::stays_open);
  Three network;
  network.named_parameters()["a"].set_data(file.at("a"));
  EXPECT_EQ(first_not_finite(network), std::nullopt);
  network.named_parameters()["b"].set_data(file.at("b"));
  EXPECT_EQ(first_not_finite(network), "b");
}

}  // namespace
}  // namespace cavmae::finite_values_test
