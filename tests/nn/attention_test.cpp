#include "cavmae/nn/attention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/core/parallel.h"

#include "tests/support/golden.h"

namespace cavmae {
namespace {

using testing_support::IsNear;

constexpr double kTolerance = 2e-6;

struct Sizes {
  int64_t clips, queries, keys, heads, head_width;
};

void PrintTo(const Sizes& s, std::ostream* out) {
  *out << s.clips << " clips, " << s.queries << " queries, " << s.keys << " keys, " << s.heads << " heads of "
       << s.head_width;
}

torch::Tensor trained_normal(torch::IntArrayRef sizes, uint64_t seed) {
  return torch::empty(sizes).normal_(0, 1, at::detail::createCPUGenerator(seed)).requires_grad_();
}

using PackedAttention = torch::Tensor (*)(const torch::Tensor& qkv, int64_t num_heads);

void expect_plain_twin(PackedAttention tested, const Sizes& sizes) {
  const auto [clips, queries, length, heads, head_width] = sizes;
  const int64_t width = heads * head_width;
  const auto qkv = trained_normal({clips, length, 3 * width}, 1),
             plain = qkv.detach().clone().requires_grad_();
  const auto gradient = trained_normal({clips, length, width}, 2).detach();
  const auto result = tested(qkv, heads);
  const auto expected = attention_plain(plain.narrow(2, 0, width), plain.narrow(2, width, 2 * width), heads);
  EXPECT_THAT(result, IsNear(expected, kTolerance));
  result.backward(gradient);
  expected.backward(gradient);
  EXPECT_THAT(qkv.grad(), IsNear(plain.grad(), kTolerance));
}

class AttentionSizes : public ::testing::TestWithParam<Sizes> {};

TEST_P(AttentionSizes, PackedEqualsThePlainTwin) {
  expect_plain_twin(&attention, GetParam());
}

TEST_P(AttentionSizes, LibTorchsAttentionEqualsThePlainTwin) {
  expect_plain_twin(&attention_library, GetParam());
}

TEST_P(AttentionSizes, LibTorchsAttentionOfOtherQueriesEqualsThePlainTwin) {
  const auto [clips, queries, length, heads, head_width] = GetParam();
  const int64_t width = heads * head_width;
  if (queries == 0) GTEST_SKIP() << "no queries";
  const auto q = trained_normal({clips, queries, width}, 3).detach(),
             kv = trained_normal({clips, length, 2 * width}, 1).detach();
  EXPECT_THAT(attention_library(q, kv, heads), IsNear(attention_plain(q, kv, heads), kTolerance));
}

TEST_P(AttentionSizes, OtherQueriesThanKeysEqualThePlainTwin) {
  const auto [clips, queries, length, heads, head_width] = GetParam();
  const int64_t width = heads * head_width;
  const auto q = trained_normal({clips, queries, width}, 3),
             kv = trained_normal({clips, length, 2 * width}, 4);
  const auto plain_q = q.detach().clone().requires_grad_(), plain_kv = kv.detach().clone().requires_grad_();
  const auto gradient = trained_normal({clips, queries, width}, 5).detach();
  const auto result = attention(q, kv, heads);
  const auto expected = attention_plain(plain_q, plain_kv, heads);
  ASSERT_EQ(result.sizes(), expected.sizes());
  if (queries > 0) {
    EXPECT_THAT(result, IsNear(expected, kTolerance));
  }
  result.backward(gradient);
  expected.backward(gradient);
  EXPECT_THAT(q.grad(), IsNear(plain_q.grad(), kTolerance));
  EXPECT_THAT(kv.grad(), IsNear(plain_kv.grad(), kTolerance));
}

// Single tokens, odd sizes, no queries at all, and lengths that are below, at and beyond a tile.
INSTANTIATE_TEST_SUITE_P(All, AttentionSizes,
                         ::testing::Values(Sizes{1, 1, 1, 1, 1}, Sizes{2, 3, 5, 3, 7}, Sizes{3, 0, 4, 2, 4},
                                           Sizes{2, 128, 128, 2, 8}, Sizes{1, 129, 260, 2, 16},
                                           Sizes{2, 300, 301, 1, 5}));

TEST(Attention, DoesNotDependOnTheNumberOfThreads) {
  const auto run = [](int threads) {
    const int before = at::get_num_threads();
    at::set_num_threads(threads);
    const auto qkv = trained_normal({3, 150, 3 * 32}, 6);
    const auto result = attention(qkv, 4);
    result.backward(trained_normal({3, 150, 32}, 7).detach());
    at::set_num_threads(before);
    return std::pair(result.detach(), qkv.grad());
  };
  const auto [result, gradient] = run(1);
  const auto [other_result, other_gradient] = run(4);
  EXPECT_TRUE(result.equal(other_result));
  EXPECT_TRUE(gradient.equal(other_gradient));
}

TEST(Attention, OperandsInBf16GiveResultsInBf16) {
  const auto qkv = trained_normal({2, 37, 3 * 64}, 11).detach().to(torch::kBFloat16).requires_grad_();
  const auto plain = qkv.detach().to(torch::kFloat64).requires_grad_();
  const auto gradient = trained_normal({2, 37, 64}, 12).detach().to(torch::kBFloat16);
  const auto result = attention(qkv, 2);
  const auto expected = attention_plain(plain.narrow(2, 0, 64), plain.narrow(2, 64, 128), 2);
  EXPECT_EQ(result.scalar_type(), torch::kBFloat16);
  EXPECT_THAT(result, IsNear(expected, 1e-2));
  result.backward(gradient);
  expected.backward(gradient.to(torch::kFloat64));
  EXPECT_EQ(qkv.grad().scalar_type(), torch::kBFloat16);
  EXPECT_THAT(qkv.grad(), IsNear(plain.grad(), 1e-2));
}

TEST(Attention, NothingIsKeptWhereNoGradientIsNeeded) {
  const auto qkv = trained_normal({1, 9, 3 * 8}, 13);
  const auto expected = attention(qkv, 2);
  EXPECT_TRUE(expected.requires_grad());
  const c10::InferenceMode inference;
  const auto result = attention(qkv, 2);
  EXPECT_FALSE(result.requires_grad());
  EXPECT_TRUE(result.equal(expected));
}

TEST(Attention, DoublesTakeThePlainTwin) {
  const auto qkv = trained_normal({1, 5, 3 * 8}, 14).detach().to(torch::kFloat64);
  EXPECT_TRUE(attention(qkv, 2).equal(attention_plain(qkv.narrow(2, 0, 8), qkv.narrow(2, 8, 16), 2)));
}

TEST(Attention, GradientEqualsFiniteDifferences) {
  const auto qkv = trained_normal({1, 5, 3 * 4}, 8);
  const auto weights = trained_normal({1, 5, 4}, 9).detach();
  attention(qkv, 2).mul(weights).sum().backward();
  const auto gradient = qkv.grad().flatten();
  const torch::NoGradGuard no_grad;
  const auto value = [&](const torch::Tensor& x) {
    return attention_plain(x.narrow(2, 0, 4), x.narrow(2, 4, 8), 2);
  };
  const auto at64 = qkv.detach().to(torch::kFloat64);
  for (int64_t i = 0; i < at64.numel(); ++i) {
    constexpr double kStep = 1e-5;
    const auto moved = [&](double by) {
      const auto x = at64.clone();
      x.view(-1)[i] += by;
      return value(x).mul(weights.to(torch::kFloat64)).sum().item<double>();
    };
    EXPECT_NEAR(gradient[i].item<double>(), (moved(kStep) - moved(-kStep)) / (2 * kStep), 1e-5) << i;
  }
}

TEST(Attention, EnormousProductsStayFinite) {
  const auto qkv = trained_normal({1, 6, 3 * 8}, 10).detach() * 1e4;
  EXPECT_TRUE(attention(qkv, 2).isfinite().all().item<bool>());
}

TEST(Attention, KeysOfAnotherWidthAreAnError) {
  EXPECT_THROW(attention(torch::zeros({1, 2, 4}), torch::zeros({1, 3, 6}), 2), Error);
}

}  // namespace
}  // namespace cavmae
