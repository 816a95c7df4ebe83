#include "cavmae/kernels/flash_attention.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/core/parallel.h"

#include "tests/support/elements.h"
#include "tests/support/golden.h"

namespace cavmae::kernels {
namespace {

struct Problem {
  AttentionCall call;
  torch::Tensor q, kv, d_out;  // [B, M, H * d], [B, L, 2 * H * d], [B, M, H * d]
  torch::Tensor out, log_sum_exp, d_q, d_kv;
};

constexpr int64_t kGuardRows = 1, kGuardColumns = 4;
constexpr double kGuard = 7.0;

// A result between values that nothing may write to. What stays unwritten is not a number.
torch::Tensor guarded(const torch::Tensor& like) {
  const auto all =
      torch::full({like.size(0), like.size(1) + 2 * kGuardRows, like.size(2) + 2 * kGuardColumns}, kGuard,
                  like.scalar_type());
  return all.narrow(1, kGuardRows, like.size(1)).narrow(2, kGuardColumns, like.size(2)).fill_(std::nan(""));
}

void expect_guards(const torch::Tensor& result) {
  const int64_t columns = result.size(2) + 2 * kGuardColumns, rows = result.size(1) + 2 * kGuardRows;
  const auto all =
      result.as_strided({result.size(0), rows, columns}, {rows * columns, columns, 1}, 0).clone();
  all.narrow(1, kGuardRows, result.size(1)).narrow(2, kGuardColumns, result.size(2)).fill_(kGuard);
  EXPECT_TRUE((all == kGuard).all().item<bool>()) << "written past the result";
}

Problem make_problem(const AttentionCall& call, double spread = 1.0) {
  const int64_t width = call.heads * call.head_width;
  auto generator = at::detail::createCPUGenerator(11);
  const auto normal = [&](int64_t rows, int64_t columns) {
    return (torch::empty({call.clips, rows, columns}).normal_(0, 1, generator) * spread)
        .to(testing_support::type_of(call.element));
  };
  Problem p;
  p.call = call;
  p.q = normal(call.queries, width);
  p.kv = normal(call.keys, 2 * width);
  p.d_out = normal(call.queries, width);
  p.out = guarded(p.q);
  p.log_sum_exp = torch::full({call.clips, call.heads, call.queries}, std::nan(""));
  p.d_q = guarded(p.q);
  p.d_kv = guarded(p.kv);
  return p;
}

// softmax(q k^T / sqrt(d)) v by its definition.
torch::Tensor plain_attention(const torch::Tensor& q, const torch::Tensor& kv, int64_t heads) {
  const auto split = [&](const torch::Tensor& x) {
    return x.view({x.size(0), x.size(1), heads, x.size(2) / heads}).transpose(1, 2);
  };
  const auto parts = kv.chunk(2, 2);
  const double scale = 1.0 / std::sqrt(static_cast<double>(q.size(2) / heads));
  const auto scores = split(q).matmul(split(parts[0].contiguous()).transpose(2, 3)) * scale;
  return scores.softmax(-1).matmul(split(parts[1].contiguous())).transpose(1, 2).reshape(q.sizes());
}

// `part` 0: the first width columns, 1: the second.
HeadsView view(const Problem& p, const torch::Tensor& x, int64_t part = 0) {
  const int64_t width = p.call.heads * p.call.head_width;
  return {static_cast<char*>(x.data_ptr()) + part * width * x.element_size(), x.stride(0), x.stride(1)};
}

void run(Problem& p, const AttentionKernel& kernel) {
  flash_attention_forward(p.call,
                          {.q = view(p, p.q),
                           .k = view(p, p.kv),
                           .v = view(p, p.kv, 1),
                           .out = view(p, p.out),
                           .log_sum_exp = p.log_sum_exp.data_ptr<float>()},
                          kernel);
  flash_attention_backward(p.call,
                           {.q = view(p, p.q),
                            .k = view(p, p.kv),
                            .v = view(p, p.kv, 1),
                            .out = view(p, p.out),
                            .d_out = view(p, p.d_out),
                            .log_sum_exp = p.log_sum_exp.data_ptr<float>(),
                            .d_q = view(p, p.d_q),
                            .d_k = view(p, p.d_kv),
                            .d_v = view(p, p.d_kv, 1)},
                           kernel);
  for (const torch::Tensor& result : {p.out, p.d_q, p.d_kv}) expect_guards(result);
}

bool equal_results(const Problem& a, const Problem& b) {
  return a.out.equal(b.out) && a.log_sum_exp.equal(b.log_sum_exp) && a.d_q.equal(b.d_q) &&
         a.d_kv.equal(b.d_kv);
}

double norm_of(const torch::Tensor& x) {
  return x.to(torch::kFloat64).norm().item<double>();
}

// The norm of the error as a share of that of the result, or of a single term where the terms cancel.
double relative_error(const torch::Tensor& actual, const torch::Tensor& expected, double term) {
  if (expected.numel() == 0) return 0.0;
  return norm_of(actual.to(torch::kFloat64) - expected) / std::max(norm_of(expected), term);
}

// In double, from the operands as they are.
void compare_with_the_plain_twin(const Problem& p, double tolerance) {
  const auto q = p.q.to(torch::kFloat64).requires_grad_(), kv = p.kv.to(torch::kFloat64).requires_grad_();
  const auto expected = plain_attention(q, kv, p.call.heads);
  expected.backward(p.d_out.to(torch::kFloat64));
  const double term = norm_of(p.d_out) / std::sqrt(static_cast<double>(p.call.keys));
  EXPECT_LE(relative_error(p.out, expected.detach(), term), tolerance) << "out";
  EXPECT_LE(relative_error(p.d_q, q.grad(), term), tolerance) << "gradient of the queries";
  const auto parts = p.d_kv.chunk(2, 2), expected_parts = kv.grad().chunk(2, 2);
  EXPECT_LE(relative_error(parts[0], expected_parts[0], term), tolerance) << "gradient of the keys";
  EXPECT_LE(relative_error(parts[1], expected_parts[1], term), tolerance) << "gradient of the values";
}

// The result's rounding to bf16; where products are in bf16, that of the probabilities and their gradients
// besides.
double tolerance(Element element) {
  return element == Element::f32 ? 2e-6 : 4e-3;
}
constexpr double kBf16Tolerance = 8e-3;
double tolerance(Element element, const AttentionKernel& kernel) {
  const bool in_bf16 = element == Element::bf16 && kernel.use != AttentionKernel::Use::any_element;
  return in_bf16 ? kBf16Tolerance : tolerance(element);
}

const AttentionKernel& usable_kernel(const std::string& name) {
  for (const AttentionKernel* kernel : usable_attention_kernels())
    if (kernel->name == name) return *kernel;
  throw Error("there is no attention kernel " + name);
}

using Case = std::tuple<const AttentionKernel*, Element>;
class FlashAttention : public ::testing::TestWithParam<Case> {
 protected:
  const AttentionKernel& kernel() const { return *std::get<0>(GetParam()); }
  Element element() const { return std::get<1>(GetParam()); }

  void expect_equal_to_the_plain_twin(const AttentionCall& sizes) {
    AttentionCall call = sizes;
    call.element = element();
    SCOPED_TRACE(testing::Message() << call.clips << " clips, " << call.queries << " queries, " << call.keys
                                    << " keys, " << call.heads << " heads of " << call.head_width);
    Problem p = make_problem(call);
    run(p, kernel());
    compare_with_the_plain_twin(p, tolerance(element(), kernel()));
  }
};

TEST_P(FlashAttention, EqualsThePlainTwinAtEveryLength) {
  for (const int64_t length : {1, 2, 5, 7, 16, 17, 49, 61, 64, 128, 177, 196, 708})
    expect_equal_to_the_plain_twin(
        {.clips = 1, .queries = length, .keys = length, .heads = 1, .head_width = 32});
}

TEST_P(FlashAttention, EqualsThePlainTwinAtEveryHeadWidth) {
  for (const int64_t width : {1, 5, 8, 24, 32, 40, 64, 80, 128, 256})
    expect_equal_to_the_plain_twin({.clips = 2, .queries = 37, .keys = 37, .heads = 2, .head_width = width});
}

TEST_P(FlashAttention, EqualsThePlainTwinForOtherQueriesThanKeys) {
  for (const auto& [queries, keys] :
       std::vector<std::pair<int64_t, int64_t>>{{531, 708}, {3, 70}, {70, 3}, {1, 129}})
    expect_equal_to_the_plain_twin(
        {.clips = 1, .queries = queries, .keys = keys, .heads = 2, .head_width = 16});
}

TEST_P(FlashAttention, NoQueriesGiveZeroGradients) {
  Problem p =
      make_problem({.clips = 2, .queries = 0, .keys = 9, .heads = 2, .head_width = 8, .element = element()});
  run(p, kernel());
  EXPECT_EQ(p.d_kv.abs().max().item<double>(), 0.0);
}

TEST_P(FlashAttention, NoKeysGiveZeros) {
  Problem p =
      make_problem({.clips = 2, .queries = 9, .keys = 0, .heads = 2, .head_width = 8, .element = element()});
  run(p, kernel());
  EXPECT_EQ(p.out.abs().max().item<double>(), 0.0);
  EXPECT_EQ(p.d_q.abs().max().item<double>(), 0.0);
  EXPECT_TRUE(p.log_sum_exp.isfinite().all().item<bool>());
}

TEST_P(FlashAttention, EnormousProductsEqualThePlainTwin) {
  Problem p = make_problem(
      {.clips = 1, .queries = 33, .keys = 40, .heads = 2, .head_width = 32, .element = element()},
      /*spread=*/8.0);
  run(p, kernel());
  compare_with_the_plain_twin(p, 20 * tolerance(element()));  // weights near 0 and 1: gradients cancel
}

TEST_P(FlashAttention, DoesNotDependOnTheNumberOfThreads) {
  const AttentionCall call{
      .clips = 1, .queries = 300, .keys = 177, .heads = 3, .head_width = 32, .element = element()};
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  Problem one = make_problem(call);
  run(one, kernel());
  for (const int threads : {2, 5, 8}) {
    at::set_num_threads(threads);
    Problem many = make_problem(call);
    run(many, kernel());
    EXPECT_TRUE(equal_results(one, many)) << threads << " threads";
  }
  at::set_num_threads(before);
}

INSTANTIATE_TEST_SUITE_P(Supported, FlashAttention,
                         ::testing::Combine(::testing::ValuesIn(usable_attention_kernels()),
                                            ::testing::Values(Element::f32, Element::bf16)),
                         [](const auto& tested) {
                           return std::get<0>(tested.param)->name +
                                  std::string(std::get<1>(tested.param) == Element::f32 ? "_f32" : "_bf16");
                         });

bool is_on_tiles(const AttentionKernel& kernel) {
  const std::string name = kernel.name;
  return name == "amx" || name.starts_with("emulated_tiles");
}

// The emulation in plain C++ is what the others are held to, tiles bit for bit.
TEST(AttentionOnTiles, EqualsTheOtherVersionsInBf16) {
  for (const int64_t width : {64, 32})
    for (const int64_t length : {1, 5, 16, 17, 49, 61, 128, 177, 708}) {
      const AttentionCall call{.clips = 1,
                               .queries = length,
                               .keys = length,
                               .heads = 1,
                               .head_width = width,
                               .element = Element::bf16};
      Problem twin = make_problem(call);
      run(twin, usable_kernel("emulated_tiles"));
      const double term = norm_of(twin.d_out) / std::sqrt(static_cast<double>(length));
      for (const AttentionKernel* kernel : usable_attention_kernels()) {
        if (kernel->use == AttentionKernel::Use::any_element) continue;
        SCOPED_TRACE(testing::Message() << kernel->name << ", " << length << " rows of " << width);
        Problem p = make_problem(call);
        run(p, *kernel);
        EXPECT_LE(relative_error(p.out, twin.out.to(torch::kFloat64), term), kBf16Tolerance);
        EXPECT_LE(relative_error(p.d_q, twin.d_q.to(torch::kFloat64), term), kBf16Tolerance);
        EXPECT_LE(relative_error(p.d_kv, twin.d_kv.to(torch::kFloat64), term), kBf16Tolerance);
        EXPECT_TRUE(!is_on_tiles(*kernel) || equal_results(p, twin));
      }
    }
}

// The queries that need a shift and those that need none are blocks' neighbours.
TEST(AttentionOnTiles, IsBitForBitTheSameForEnormousProducts) {
  const AttentionCall call{
      .clips = 1, .queries = 70, .keys = 45, .heads = 2, .head_width = 32, .element = Element::bf16};
  const auto problem = [&] {
    Problem p = make_problem(call, /*spread=*/8.0);
    p.q.narrow(1, 0, 40) *= 0.01;
    return p;
  };
  Problem twin = problem();
  run(twin, usable_kernel("emulated_tiles"));
  compare_with_the_plain_twin(twin, 20 * tolerance(Element::bf16));
  for (const AttentionKernel* kernel : usable_attention_kernels()) {
    if (!is_on_tiles(*kernel)) continue;
    Problem p = problem();
    run(p, *kernel);
    EXPECT_TRUE(equal_results(p, twin)) << kernel->name;
  }
}

TEST(FlashAttentionCall, AnUnknownHeadWidthIsAnError) {
  EXPECT_THROW(
      flash_attention_forward({.clips = 1, .queries = 1, .keys = 1, .heads = 1, .head_width = 257}, {}),
      Error);
}

}  // namespace
}  // namespace cavmae::kernels
