#include "cavmae/train/optimizer/adam.h"

#include <cmath>

#include <gmock/gmock.h>

#include "cavmae/core/error.h"
#include "cavmae/core/parallel.h"
#include "cavmae/core/torch_versions.h"
#include "cavmae/train/optimizer/adam_device.h"

#include "tests/support/temporary_folder.h"
#include "tests/support/test_device.h"

namespace cavmae {
namespace {

struct Fixture {
  torch::Tensor a, b, untouched;
  explicit Fixture(uint64_t seed) {
    const auto generator = at::detail::createCPUGenerator(seed);
    a = torch::randn({37, 41}, generator, torch::kFloat32).requires_grad_();
    b = torch::randn({70001}, generator, torch::kFloat32).requires_grad_();  // more than one piece
    untouched = torch::randn({5}, generator, torch::kFloat32).requires_grad_();
  }
  void set_gradients(uint64_t seed) {
    const auto generator = at::detail::createCPUGenerator(seed);
    a.mutable_grad() = torch::randn(a.sizes(), generator, torch::kFloat32);
    b.mutable_grad() = torch::randn(b.sizes(), generator, torch::kFloat32) * 1e-3;
  }
  std::vector<ParameterGroup> groups(double second_scale = 1.0) const {
    return {{.parameters = {{"a", a}, {"untouched", untouched}}, .lr_scale = 1.0},
            {.parameters = {{"b", b}}, .lr_scale = second_scale}};
  }
};

// The published algorithm in tensor operations.
struct PlainAdam {
  torch::Tensor parameter, m, v;
  int64_t t = 0;
  explicit PlainAdam(const torch::Tensor& p)
      : parameter(p.detach().clone()), m(torch::zeros_like(p)), v(torch::zeros_like(p)) {}
  void step(torch::Tensor gradient, double lr, const OptimizerOptions& o) {
    ++t;
    gradient = gradient + o.weight_decay * parameter;
    m.mul_(o.beta1).add_(gradient, 1 - o.beta1);
    v.mul_(o.beta2).addcmul_(gradient, gradient, 1 - o.beta2);
    const double c1 = 1 - std::pow(o.beta1, static_cast<double>(t));
    const double c2 = 1 - std::pow(o.beta2, static_cast<double>(t));
    const torch::Tensor denominator = (v.sqrt() / std::sqrt(c2)).add_(o.epsilon);
    parameter.addcdiv_(m, denominator, -lr / c1);
  }
};

double largest_difference(const torch::Tensor& x, const torch::Tensor& y) {
  return (x - y).abs().max().item<double>();
}

TEST(Adam, EqualsThePlainTwinOverManySteps) {
  Fixture f(1);
  OptimizerOptions options;
  options.weight_decay = 0.01;
  PlainAdam plain_a(f.a), plain_b(f.b);
  const torch::Tensor before = f.untouched.detach().clone();
  Adam adam(f.groups(3.0), options);
  for (uint64_t step = 0; step < 20; ++step) {
    f.set_gradients(100 + step);
    plain_a.step(f.a.grad(), 1e-2, options);
    plain_b.step(f.b.grad(), 3e-2, options);
    adam.step({.lr = 1e-2});
  }
  EXPECT_LT(largest_difference(f.a.detach(), plain_a.parameter), 2e-6);
  EXPECT_LT(largest_difference(f.b.detach(), plain_b.parameter), 2e-6);
  EXPECT_TRUE(torch::equal(f.untouched.detach(), before)) << "a parameter without gradient moved";
}

TEST(Adam, ScalesGradientsAndLeavesThemAsAsked) {
  Fixture scaled(2), plain(2);
  Adam scaled_adam(scaled.groups(), {}), plain_adam(plain.groups(), {});
  scaled.set_gradients(7);
  plain.set_gradients(7);
  plain.a.mutable_grad().mul_(0.25);
  plain.b.mutable_grad().mul_(0.25);
  scaled_adam.step({.lr = 1e-2, .gradient_scale = 0.25, .gradients = GradientUse::zero});
  plain_adam.step({.lr = 1e-2});
  EXPECT_TRUE(torch::equal(scaled.a, plain.a));
  EXPECT_TRUE(torch::equal(scaled.b, plain.b));
  EXPECT_EQ(scaled.b.grad().abs().sum().item<float>(), 0.0f);
  EXPECT_GT(plain.b.grad().abs().sum().item<float>(), 0.0f);
  plain_adam.release_gradients();
  EXPECT_FALSE(plain.b.grad().defined());
}

TEST(Adam, TakesGradientsOfAnyStrides) {
  Fixture f(3), g(3);
  Adam adam_f(f.groups(), {}), adam_g(g.groups(), {});
  const torch::Tensor gradient = torch::randn({41, 37}, at::detail::createCPUGenerator(5), torch::kFloat32);
  f.a.mutable_grad() = gradient.t();
  g.a.mutable_grad() = gradient.t().contiguous();
  EXPECT_DOUBLE_EQ(adam_f.gradient_norm(), adam_g.gradient_norm());
  adam_f.step({.lr = 1e-2});
  adam_g.step({.lr = 1e-2});
  EXPECT_TRUE(torch::equal(f.a, g.a));
}

TEST(Adam, GradientNormIsThatOfAllGradients) {
  Fixture f(4);
  f.set_gradients(9);
  const Adam adam(f.groups(), {});
  const double expected = std::sqrt(f.a.grad().to(torch::kFloat64).square().sum().item<double>() +
                                    f.b.grad().to(torch::kFloat64).square().sum().item<double>());
  EXPECT_NEAR(adam.gradient_norm(), expected, 1e-9 * expected);
}

TEST(Adam, DoesNotDependOnTheNumberOfThreads) {
  const int threads = at::get_num_threads();
  Fixture one(6), many(6);
  one.set_gradients(11);
  many.set_gradients(11);
  Adam adam_one(one.groups(), {}), adam_many(many.groups(), {});
  at::set_num_threads(1);
  const double norm_one = adam_one.gradient_norm();
  adam_one.step({.lr = 1e-2});
  at::set_num_threads(3);
  const double norm_many = adam_many.gradient_norm();
  adam_many.step({.lr = 1e-2});
  at::set_num_threads(threads);
  EXPECT_EQ(norm_one, norm_many);
  EXPECT_TRUE(torch::equal(one.b, many.b));
}

TEST(Adam, GoesOnFromASavedStateBitForBit) {
  const TemporaryFolder folder;
  Fixture f(8), resumed(8);
  Adam adam(f.groups(), {});
  f.set_gradients(1);
  adam.step({.lr = 1e-2});
  write_safetensors(folder / "state.safetensors", adam.state());
  {
    const torch::NoGradGuard no_grad;
    resumed.a.copy_(f.a);
    resumed.b.copy_(f.b);
  }
  Adam other(resumed.groups(), {});
  other.load_state(read_safetensors(folder / "state.safetensors"));
  f.set_gradients(2);
  resumed.set_gradients(2);
  adam.step({.lr = 1e-2});
  other.step({.lr = 1e-2});
  EXPECT_TRUE(torch::equal(f.a, resumed.a));
  EXPECT_TRUE(torch::equal(f.b, resumed.b));
}

TEST(Adam, RefusesAStateOfAnotherModel) {
  const TemporaryFolder folder;
  Fixture f(8);
  Adam adam(f.groups(), {});
  f.set_gradients(1);
  adam.step({.lr = 1e-2});
  write_safetensors(folder / "state.safetensors", adam.state());
  const TensorFile file = read_safetensors(folder / "state.safetensors");

  Adam fewer({{.parameters = {{"a", f.a}}}}, {});
  EXPECT_THAT(message_from<CheckpointError>([&] { fewer.load_state(file); }),
              ::testing::HasSubstr("3 of 6 tensors belong to no parameter"));
  Adam other_size({{.parameters = {{"a", torch::zeros({3}).requires_grad_()}, {"b", f.b}}}}, {});
  EXPECT_THAT(message_from<CheckpointError>([&] { other_size.load_state(file); }),
              ::testing::HasSubstr("a.exp_avg"));
}

// ---- on a GPU; where LibTorch has its operators for the CPU too, there

bool has_fused_adam(torch::Device device) {
  return device.is_cuda() || compat::kFusedAdamOnCpu;
}

TEST(AdamOnADevice, EqualsThePlainTwinOverManySteps) {
  const torch::Device device = testing_support::test_device();
  if (!has_fused_adam(device))
    GTEST_SKIP() << "LibTorch " << TORCH_VERSION << " has _fused_adam_ for GPUs alone";
  Fixture f(1);
  OptimizerOptions options;
  options.weight_decay = 0.01;
  PlainAdam plain_a(f.a), plain_b(f.b);
  std::vector<DeviceUpdate> updates;
  for (const auto* p : {&f.a, &f.b}) {
    const torch::Tensor parameter = p->detach().clone().to(device);
    updates.push_back({.parameter = parameter,
                       .gradient = {},
                       .exp_avg = torch::zeros_like(parameter),
                       .exp_avg_sq = torch::zeros_like(parameter)});
  }
  const torch::NoGradGuard no_grad;
  constexpr double kScale = 0.25;
  for (int64_t step = 1; step <= 20; ++step) {
    f.set_gradients(static_cast<uint64_t>(100 + step));
    const double lr = 1e-3 / static_cast<double>(step);
    plain_a.step(f.a.grad() * kScale, lr, options);
    plain_b.step(f.b.grad() * kScale, 10 * lr, options);
    updates[0].gradient = f.a.grad().to(device), updates[1].gradient = f.b.grad().to(device);
    updates[0].lr = lr, updates[1].lr = 10 * lr;
    updates[0].step = updates[1].step = step;
    adam_update_on_device(updates, options, {.scale = kScale, .use = GradientUse::zero});
    EXPECT_EQ(updates[0].gradient.abs().max().item<float>(), 0.0F);
  }
  EXPECT_LT(largest_difference(updates[0].parameter.cpu(), plain_a.parameter), 1e-6);
  EXPECT_LT(largest_difference(updates[1].parameter.cpu(), plain_b.parameter), 1e-6);
}

TEST(AdamOnADevice, TheNormIsThatOverAllGradients) {
  const torch::Device device = testing_support::test_device();
  Fixture f(2);
  f.set_gradients(3);
  const double expected = std::sqrt(f.a.grad().to(torch::kFloat64).square().sum().item<double>() +
                                    f.b.grad().to(torch::kFloat64).square().sum().item<double>());
  EXPECT_NEAR(norm_on_device({f.a.grad().to(device), f.b.grad().to(device)}), expected, 1e-5 * expected);
  EXPECT_EQ(norm_on_device({}), 0.0);
}

TEST(Adam, ParametersLieOnOneDevice) {
  const auto on_cpu = torch::zeros({2}).requires_grad_();
  const auto elsewhere = torch::zeros({2}, torch::kMeta).requires_grad_();
  EXPECT_THROW(Adam({{.parameters = {{"a", on_cpu}, {"b", elsewhere}}}}, {}), Error);
}

}  // namespace
}  // namespace cavmae
