// The losses against sums written out element by element, and their gradients against finite differences.
#include <cmath>
#include <functional>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/losses/contrastive.h"
#include "cavmae/losses/pretraining.h"
#include "cavmae/losses/reconstruction.h"

#include "tests/support/golden.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/thread_world.h"

namespace cavmae {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_support::IsNear;

torch::Tensor normal(torch::IntArrayRef sizes, uint64_t seed) {
  return torch::empty(sizes).normal_(0, 1, at::detail::createCPUGenerator(seed));
}

using Rows = std::vector<std::vector<double>>;

Rows unit_rows(const torch::Tensor& x) {
  Rows rows;
  for (int64_t i = 0; i < x.size(0); ++i) {
    auto& row = rows.emplace_back();
    double square = 0;
    for (int64_t k = 0; k < x.size(1); ++k) {
      row.push_back(x[i][k].item<double>());
      square += row.back() * row.back();
    }
    for (double& value : row) value /= std::sqrt(square);
  }
  return rows;
}

struct Expected {
  double loss = 0, accuracy = 0;
};

// Each of `seekers` looks for its partner among `found`: -log softmax, Gong et al., ICLR 2023, Eq. (7).
Expected brute_force(const Rows& seekers, const Rows& found, double temperature) {
  Expected out;
  for (size_t i = 0; i < seekers.size(); ++i) {
    double sum = 0, own = 0, best = -1e9;
    size_t best_j = 0;
    for (size_t j = 0; j < found.size(); ++j) {
      double s = 0;
      for (size_t k = 0; k < seekers[i].size(); ++k) s += seekers[i][k] * found[j][k] / temperature;
      sum += std::exp(s);
      if (i == j) own = s;
      if (s > best) {
        best = s;
        best_j = j;
      }
    }
    out.loss += (std::log(sum) - own) / static_cast<double>(seekers.size());
    out.accuracy += (best_j == i ? 1.0 : 0.0) / static_cast<double>(seekers.size());
  }
  return out;
}

Expected brute_force(const torch::Tensor& audio, const torch::Tensor& video,
                     const ContrastiveOptions& options) {
  const Rows a = unit_rows(audio), v = unit_rows(video);
  const Expected one = brute_force(v, a, options.temperature);
  if (!options.bidirectional) return one;
  const Expected other = brute_force(a, v, options.temperature);
  return {.loss = (one.loss + other.loss) / 2, .accuracy = (one.accuracy + other.accuracy) / 2};
}

void expect_gradient(const torch::Tensor& input, const std::function<double(const torch::Tensor&)>& value) {
  const auto start = input.detach().to(torch::kFloat64);
  constexpr double kStep = 1e-5;
  for (int64_t i = 0; i < start.numel(); ++i) {
    const auto moved = [&](double by) {
      const auto x = start.clone();
      x.view(-1)[i] += by;
      return value(x);
    };
    EXPECT_NEAR(input.grad().flatten()[i].item<double>(), (moved(kStep) - moved(-kStep)) / (2 * kStep), 2e-5)
        << i;
  }
}

TEST(ContrastiveLoss, EqualsBruteForceWithGradients) {
  for (const bool bidirectional : {false, true}) {
    for (const int64_t clips : {1, 2, 5}) {
      const ContrastiveOptions options{.temperature = 0.3, .bidirectional = bidirectional};
      const auto audio = normal({clips, 4}, 1).requires_grad_(),
                 video = normal({clips, 4}, 2).requires_grad_();
      const ContrastiveResult result = contrastive_loss(audio, video, options, World::alone());
      const Expected expected = brute_force(audio.detach(), video.detach(), options);
      EXPECT_NEAR(result.loss.item<double>(), expected.loss, 1e-5);
      EXPECT_NEAR(result.accuracy.item<double>(), expected.accuracy, 1e-6);
      EXPECT_FALSE(result.accuracy.requires_grad());
      result.loss.backward();
      expect_gradient(audio, [&](const auto& x) { return brute_force(x, video.detach(), options).loss; });
      expect_gradient(video, [&](const auto& x) { return brute_force(audio.detach(), x, options).loss; });
    }
  }
}

// What `groups` of so many clips give one after another, weighted by their clips.
Expected grouped_brute_force(const torch::Tensor& audio, const torch::Tensor& video,
                             const std::vector<int64_t>& groups, const ContrastiveOptions& options) {
  Expected mean{};
  int64_t first = 0;
  for (const int64_t size : groups) {
    const Expected group = brute_force(audio.narrow(0, first, size), video.narrow(0, first, size), options);
    const double share = static_cast<double>(size) / static_cast<double>(audio.size(0));
    mean.loss += group.loss * share;
    mean.accuracy += group.accuracy * share;
    first += size;
  }
  return mean;
}

TEST(ContrastiveLoss, GroupsEqualTheMeanOfTheirOwnLossesWithGradients) {
  struct Case {
    int64_t clips, contrastive_batch;
    std::vector<int64_t> groups;
  };
  for (const Case& c : {Case{6, 3, {3, 3}}, Case{6, 2, {2, 2, 2}}, Case{7, 3, {3, 2, 2}}, Case{5, 4, {3, 2}},
                        Case{4, 9, {4}}, Case{3, 0, {3}}}) {
    for (const bool bidirectional : {false, true}) {
      ContrastiveOptions options{.temperature = 0.3, .bidirectional = bidirectional};
      const auto audio = normal({c.clips, 4}, 11).requires_grad_(),
                 video = normal({c.clips, 4}, 12).requires_grad_();
      const auto expected = [&](const torch::Tensor& a, const torch::Tensor& v) {
        return grouped_brute_force(a, v, c.groups, {.temperature = 0.3, .bidirectional = bidirectional});
      };
      options.contrastive_batch = c.contrastive_batch;
      const ContrastiveResult result = contrastive_loss(audio, video, options, World::alone());
      const Expected whole = expected(audio.detach(), video.detach());
      EXPECT_NEAR(result.loss.item<double>(), whole.loss, 1e-5) << c.clips << " " << c.contrastive_batch;
      EXPECT_NEAR(result.accuracy.item<double>(), whole.accuracy, 1e-6);
      result.loss.backward();
      expect_gradient(audio, [&](const auto& x) { return expected(x, video.detach()).loss; });
      expect_gradient(video, [&](const auto& x) { return expected(audio.detach(), x).loss; });
    }
  }
}

TEST(ContrastiveLoss, OfSeveralRanksIsThatOfTheirJoinedBatchWithGradients) {
  struct Case {
    std::vector<int64_t> clips;  // of each rank
    int64_t contrastive_batch;
  };
  for (const Case& c : {Case{{3, 3}, 0}, Case{{2, 2, 2}, 0}, Case{{4, 4}, 4}, Case{{4, 4}, 2},
                        Case{{3, 2}, 0}, Case{{3, 0}, 0}}) {
    for (const bool bidirectional : {false, true}) {
      const ContrastiveOptions options{
          .temperature = 0.3, .bidirectional = bidirectional, .contrastive_batch = c.contrastive_batch};
      const auto ranks = static_cast<int64_t>(c.clips.size());
      const int64_t clips = std::accumulate(c.clips.begin(), c.clips.end(), int64_t{0});
      const auto audio = normal({clips, 4}, 21).requires_grad_(),
                 video = normal({clips, 4}, 22).requires_grad_();
      const ContrastiveResult wanted = contrastive_loss(audio, video, options, World::alone());
      wanted.loss.backward();
      testing_support::run_ranks(ranks, [&](World& world) {
        const int64_t own = c.clips[static_cast<size_t>(world.rank())];
        const int64_t first = std::accumulate(c.clips.begin(), c.clips.begin() + world.rank(), int64_t{0});
        const auto rows = [&](const torch::Tensor& all) { return all.detach().narrow(0, first, own); };
        const auto own_audio = rows(audio).clone().requires_grad_(),
                   own_video = rows(video).clone().requires_grad_();
        std::vector<int64_t> places(static_cast<size_t>(own));
        std::iota(places.begin(), places.end(), first);
        const ContrastiveResult result =
            contrastive_loss(own_audio, own_video, options, world, {.rows = places, .batch = clips});
        if (c.contrastive_batch == 0) {
          EXPECT_THAT(result.loss.detach(), IsNear(wanted.loss.detach(), 1e-6));
          EXPECT_TRUE(result.accuracy.equal(wanted.accuracy));
        }
        const torch::Tensor sum = result.loss.detach() * static_cast<double>(own);
        world.all_reduce(sum);
        EXPECT_THAT(sum / static_cast<double>(clips), IsNear(wanted.loss.detach(), 1e-6));
        if (own == 0) return;
        result.loss.backward();
        const double share = static_cast<double>(own) / static_cast<double>(clips);
        EXPECT_THAT(own_audio.grad() * share, IsNear(rows(audio.grad()), 1e-6));
        EXPECT_THAT(own_video.grad() * share, IsNear(rows(video.grad()), 1e-6));
      });
    }
  }
}

TEST(ContrastiveLoss, AMissingClipLeavesItsGroupAloneSmaller) {
  const auto audio = normal({5, 4}, 31), video = normal({5, 4}, 32);
  const ContrastiveOptions options{.temperature = 0.3, .contrastive_batch = 3};
  const auto result =
      contrastive_loss(audio, video, options, World::alone(), {.rows = {0, 2, 3, 4, 5}, .batch = 6});
  EXPECT_NEAR(result.loss.item<double>(),
              grouped_brute_force(audio, video, {2, 3}, {.temperature = 0.3}).loss, 1e-5);
}

TEST(ContrastiveLoss, AGroupDoesNotStraddleRanks) {
  testing_support::run_ranks(2, [](World& world) {
    EXPECT_NO_THROW(check_groups_fit_ranks({.contrastive_batch = 2}, 8, world));
    EXPECT_NO_THROW(check_groups_fit_ranks({}, 7, world));
    EXPECT_THAT(
        message_from<ConfigError>([&] { check_groups_fit_ranks({.contrastive_batch = 3}, 8, world); }),
        ::testing::AllOf(HasSubstr("a group of 3 clips"), HasSubstr("ranks of 4 clips")));
  });
}

TEST(ContrastiveLoss, OneWayIsEachVideoAgainstAllAudios) {
  // Video 1 lies on audio 0: seen from the videos one of two is wrong, seen from the audios another sum.
  const auto audio = torch::tensor({{1.0F, 0.0F}, {0.6F, 0.8F}});
  const auto video = torch::tensor({{0.8F, 0.6F}, {1.0F, 0.0F}});
  World& alone = World::alone();
  const auto forward = contrastive_loss(audio, video, {}, alone),
             reverse = contrastive_loss(video, audio, {}, alone);
  EXPECT_NEAR(forward.loss.item<double>(), brute_force(audio, video, {}).loss, 1e-5);
  EXPECT_GT(std::abs(forward.loss.item<double>() - reverse.loss.item<double>()), 1e-3);
}

TEST(ContrastiveLoss, ScaleOfTheVectorsDoesNotCount) {
  const auto audio = normal({4, 6}, 3), video = normal({4, 6}, 4);
  EXPECT_THAT(contrastive_loss(audio * 1e3, video * 1e-3, {}, World::alone()).loss,
              IsNear(contrastive_loss(audio, video, {}, World::alone()).loss, 1e-5));
}

TEST(ContrastiveLoss, VectorsOfZerosGiveFiniteNumbers) {
  const auto audio = torch::zeros({3, 4}).requires_grad_(), video = normal({3, 4}, 5);
  const auto result = contrastive_loss(audio, video, {}, World::alone());
  result.loss.backward();
  EXPECT_NEAR(result.loss.item<double>(), std::log(3.0), 1e-6);
  EXPECT_TRUE(audio.grad().isfinite().all().item<bool>());
}

TEST(ContrastiveLoss, BatchesThatDoNotPairAreAnError) {
  EXPECT_THROW(contrastive_loss(torch::zeros({3, 4}), torch::zeros({2, 4}), {}, World::alone()), Error);
}

TEST(NormalizePatches, HasMeanZeroAndUnbiasedVarianceOne) {
  const auto patches = normal({2, 3, 48}, 6) * 5 + 7;
  const auto normalized = normalize_patches(patches);
  EXPECT_LT(normalized.mean(-1).abs().max().item<float>(), 1e-5F);
  EXPECT_LT((normalized.var(-1, /*unbiased=*/true) - 1).abs().max().item<float>(), 1e-5F);
  EXPECT_TRUE(normalize_patches(torch::full({1, 1, 8}, 3.0F)).equal(torch::zeros({1, 1, 8})))
      << "a flat patch";
}

TEST(ReconstructionLoss, EqualsTheMaskedMeanOverAllPatches) {
  const auto predictions = normal({2, 6, 5}, 7), patches = normal({2, 6, 5}, 8);
  const auto masked = torch::tensor({{5, 0, 2}, {1, 4, 3}}, torch::kInt64);
  const auto mask = torch::zeros({2, 6}).scatter_(1, masked, 1.0);
  const auto expected = ((predictions - patches).square().mean(-1) * mask).sum() / mask.sum();
  const auto picked = predictions.gather(1, masked.unsqueeze(2).expand({-1, -1, 5}));
  const ObjectiveOptions plain{.normalize_targets = false};
  EXPECT_THAT(reconstruction_loss(picked, masked_targets(patches, masked, plain)), IsNear(expected, 1e-6));
}

TEST(ReconstructionLoss, GradientEqualsFiniteDifferences) {
  const auto predictions = normal({1, 2, 3}, 9).requires_grad_(), targets = normal({1, 2, 3}, 10);
  reconstruction_loss(predictions, targets).backward();
  expect_gradient(predictions, [&](const auto& x) {
    return (x - targets.to(torch::kFloat64)).square().mean().template item<double>();
  });
}

TEST(ReconstructionLoss, SizesThatDifferAreAnError) {
  EXPECT_THROW(reconstruction_loss(torch::zeros({1, 2, 3}), torch::zeros({1, 1, 3})), Error);
}

TEST(HiddenTargets, NormalizeEachPatchByItself) {
  const auto patches = normal({2, 4, 12}, 11);
  const auto masked = torch::tensor({{3, 1}, {0, 2}}, torch::kInt64);
  const auto targets = masked_targets(patches, masked, {});
  EXPECT_THAT(targets[0][0], IsNear(normalize_patches(patches[0][3]), 1e-6));
  EXPECT_THAT(targets[1][1], IsNear(normalize_patches(patches[1][2]), 1e-6));
}

TEST(ObjectiveOptions, ValidateNamesEveryBadField) {
  const ObjectiveOptions options{.contrastive_weight = -1,
                                 .reconstruction_weight = NAN,
                                 .contrastive = {.temperature = 0, .contrastive_batch = 1}};
  try {
    options.validate();
    FAIL() << "no error";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("contrastive_weight is -1"), HasSubstr("reconstruction_weight is nan"),
                      HasSubstr("temperature is 0"), HasSubstr("contrastive_batch is 1")));
  }
}

}  // namespace
}  // namespace cavmae
