#include "cavmae/metrics/retrieval.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/tensorfile/safetensors.h"

#include "tests/support/cpu_time.h"

namespace cavmae {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;
using testing_support::thread_cpu_seconds;

// Every score by itself, in double, by the definition of Note [Ties].
std::vector<double> ranks_one_by_one(const torch::Tensor& queries, const torch::Tensor& gallery) {
  const auto unit = [](const torch::Tensor& rows) {
    const torch::Tensor wide = rows.to(torch::kFloat64);
    return (wide / wide.norm(2, 1, /*keepdim=*/true)).contiguous();
  };
  const torch::Tensor q = unit(queries), g = unit(gallery);
  const int64_t width = q.size(1);
  const auto score = [&](int64_t i, int64_t j) {
    const double *a = q.data_ptr<double>() + i * width, *b = g.data_ptr<double>() + j * width;
    return std::inner_product(a, a + width, b, 0.0);
  };
  std::vector<double> ranks;
  for (int64_t i = 0; i < q.size(0); ++i) {
    int better = 0, equal = 0;
    for (int64_t j = 0; j < g.size(0); ++j) {
      const double more = score(i, j) - score(i, i);
      if (j == i) continue;
      if (more > kRetrievalTie) ++better;
      if (std::abs(more) <= kRetrievalTie) ++equal;
    }
    ranks.push_back(1.0 + better + equal / 2.0);
  }
  return ranks;
}

TEST(RetrievalRanks, EqualBruteForceWithoutTies) {
  torch::manual_seed(1);
  for (const int64_t n : {1, 2, 7, 131}) {
    const torch::Tensor a = torch::randn({n, 9}), v = a + 0.8 * torch::randn({n, 9});
    EXPECT_EQ(retrieval_ranks(a, v), ranks_one_by_one(a, v)) << n;
    const RetrievalRanks both = retrieval_ranks_both_ways(a, v);
    EXPECT_EQ(both.audio_to_video, ranks_one_by_one(a, v)) << n;
    EXPECT_EQ(both.video_to_audio, ranks_one_by_one(v, a)) << n;
  }
}

TEST(RetrievalRanks, EqualBruteForceWithManyTies) {
  torch::manual_seed(2);
  // Few distinct directions, so that most partners share their place with others.
  const torch::Tensor a = torch::randint(1, 3, {97, 3}).to(torch::kFloat32);
  const torch::Tensor v = torch::randint(1, 3, {97, 3}).to(torch::kFloat32);
  const RetrievalRanks both = retrieval_ranks_both_ways(a, v);
  EXPECT_EQ(both.audio_to_video, ranks_one_by_one(a, v));
  EXPECT_EQ(both.video_to_audio, ranks_one_by_one(v, a));
}

// The neighbours of each row, two on either side.
LeftOutAnswers two_neighbours(int64_t n) {
  LeftOutAnswers out(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = std::max<int64_t>(0, i - 2); j <= std::min(n - 1, i + 2); ++j)
      if (j != i) out[static_cast<size_t>(i)].push_back(j);
  return out;
}

TEST(RetrievalRanks, PassOverAnswersThatAreLeftOut) {
  torch::manual_seed(5);
  for (const int64_t n : {1, 4, 131}) {
    const torch::Tensor a = torch::randn({n, 5}), v = a + torch::randn({n, 5});
    const LeftOutAnswers left_out = two_neighbours(n);
    const RetrievalRanks got = retrieval_ranks_both_ways(a, v, left_out);
    for (int64_t i = 0; i < n; ++i) {
      std::vector<int64_t> counted = {i};  // the partner first, then what may be wrong
      for (int64_t j = 0; j < n; ++j)
        if (std::abs(i - j) > 2) counted.push_back(j);
      const torch::Tensor rows = torch::tensor(counted, torch::kInt64);
      // Another order of summing may make a tie of what is almost one.
      EXPECT_NEAR(got.audio_to_video[i],
                  ranks_one_by_one(a.index_select(0, rows), v.index_select(0, rows))[0], 0.5);
      EXPECT_NEAR(got.video_to_audio[i],
                  ranks_one_by_one(v.index_select(0, rows), a.index_select(0, rows))[0], 0.5);
    }
  }
  EXPECT_THROW(retrieval_ranks_both_ways(torch::randn({3, 5}), torch::randn({3, 5}), LeftOutAnswers(2)),
               Error);
}

TEST(RetrievalRanks, OfCopiesThatAreLeftOutAreFirst) {
  // Each direction three times in a row, as windows that overlap give it.
  const torch::Tensor rows = torch::eye(4).repeat_interleave(3, 0);
  LeftOutAnswers left_out(12);
  for (int64_t i = 0; i < 12; ++i)
    for (int64_t j = i / 3 * 3; j < i / 3 * 3 + 3; ++j)
      if (j != i) left_out[i].push_back(j);
  EXPECT_EQ(evaluate_retrieval(rows, rows).audio_to_video.at("r1"), 0.0);
  const RetrievalResult result = evaluate_retrieval(rows, rows, left_out);
  EXPECT_EQ(result.audio_to_video.at("r1"), 1.0);
  EXPECT_EQ(result.video_to_audio.at("median_rank"), 1.0);
  EXPECT_EQ(result.clips, 12);
  EXPECT_DOUBLE_EQ(to_json(result)["chance_r1"].get<double>(), 0.1);  // one of the ten that count
  EXPECT_NEAR(chance_scores(result).at("median_rank"), 5.5, 1e-12);
}

TEST(RetrievalRanks, EqualBruteForceAcrossBlocks) {
  torch::manual_seed(3);
  const torch::Tensor a = torch::randn({1100, 4}), v = a + torch::randn({1100, 4});
  const torch::Tensor far = torch::randn({9000, 4});
  EXPECT_EQ(retrieval_ranks(a, v), ranks_one_by_one(a, v));
  // More gallery than a block of columns: ranks of a cut-down check, query by query.
  const RetrievalRanks both = retrieval_ranks_both_ways(far, far.flip(1).contiguous());
  EXPECT_EQ(both.audio_to_video, retrieval_ranks(far, far.flip(1)));
  EXPECT_EQ(both.video_to_audio, retrieval_ranks(far.flip(1), far));
}

TEST(RetrievalRanks, AModelThatSaysNothingGetsNoHit) {
  const torch::Tensor same = torch::ones({10, 4});
  EXPECT_THAT(retrieval_ranks(same, same), ::testing::Each(5.5));
  const RetrievalResult result = evaluate_retrieval(same, same);
  EXPECT_EQ(result.audio_to_video.at("r1"), 0.0);
  EXPECT_EQ(result.audio_to_video.at("r5"), 0.0);
  EXPECT_EQ(result.audio_to_video.at("r10"), 1.0);
  EXPECT_EQ(result.audio_to_video.at("median_rank"), 5.5);
}

TEST(RetrievalRanks, LengthDoesNotCount) {
  torch::manual_seed(4);
  const torch::Tensor a = torch::randn({20, 8}), v = torch::randn({20, 8});
  const torch::Tensor scale = torch::rand({20, 1}) * 1e6 + 1e-3;
  EXPECT_EQ(retrieval_ranks(a * scale, v / scale), retrieval_ranks(a, v));
}

TEST(RetrievalRanks, NameTheEmbeddingThatCannotBeRanked) {
  torch::Tensor a = torch::ones({4, 3}), zero = torch::ones({4, 3}), broken = torch::ones({4, 3});
  zero[2] = 0;
  broken[3][1] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT([&] { evaluate_retrieval(a, zero); }, ThrowsMessage<Error>(HasSubstr("video embedding 2")));
  EXPECT_THAT([&] { evaluate_retrieval(broken, a); }, ThrowsMessage<Error>(HasSubstr("audio embedding 3")));
  EXPECT_THAT([&] { retrieval_ranks(a, broken); }, ThrowsMessage<Error>(HasSubstr("gallery embedding 3")));
}

TEST(RetrievalRanks, RefuseNoClipsAndUnequalSizes) {
  EXPECT_THROW(evaluate_retrieval(torch::ones({0, 3}), torch::ones({0, 3})), Error);
  EXPECT_THROW(evaluate_retrieval(torch::ones({2, 3}), torch::ones({3, 3})), Error);
  EXPECT_THROW(evaluate_retrieval({}, torch::ones({3, 3})), Error);
  EXPECT_THROW(summarize_ranks(std::vector<double>{}), Error);
}

TEST(RetrievalScores, CountTheFirstPlaces) {
  const RetrievalScores s = summarize_ranks(std::vector<double>{1, 1, 2, 5, 5.5, 10, 11, 400});
  EXPECT_DOUBLE_EQ(s.at("r1"), 2.0 / 8);
  EXPECT_DOUBLE_EQ(s.at("r5"), 4.0 / 8);
  EXPECT_DOUBLE_EQ(s.at("r10"), 6.0 / 8);
  EXPECT_DOUBLE_EQ(s.at("median_rank"), 5.25);
  EXPECT_DOUBLE_EQ(summarize_ranks(std::vector<double>{9, 1, 4}).at("median_rank"), 4.0);
}

TEST(RetrievalScores, EqualTheGoldenOnes) {
  const TensorFile golden = read_safetensors(std::string(CAVMAE_TEST_DATA) + "/golden/metrics.safetensors");
  const RetrievalResult result =
      evaluate_retrieval(golden.at("audio_embeddings"), golden.at("video_embeddings"));
  for (const auto& [scores, name] : {std::pair{&result.audio_to_video, "audio_to_video"},
                                     std::pair{&result.video_to_audio, "video_to_audio"}}) {
    const torch::Tensor& expected = golden.at(name);
    EXPECT_DOUBLE_EQ(scores->at("r1"), expected[0].item<double>()) << name;
    EXPECT_DOUBLE_EQ(scores->at("r5"), expected[1].item<double>()) << name;
    EXPECT_DOUBLE_EQ(scores->at("r10"), expected[2].item<double>()) << name;
    EXPECT_DOUBLE_EQ(scores->at("median_rank"), expected[3].item<double>()) << name;
  }
  EXPECT_EQ(result.clips, 80);
  EXPECT_DOUBLE_EQ(values_of(result).at("chance_r1"), 1.0 / 80);
}

TEST(RetrievalScores, BecomeJson) {
  const Json json =
      to_json(RetrievalResult{.audio_to_video = {{"r1", 0.5}, {"r5", 0.75}, {"r10", 1}, {"median_rank", 2}},
                              .video_to_audio = {},
                              .clips = 4});
  EXPECT_EQ(json["audio_to_video"].dump(), R"({"r1":0.5,"r5":0.75,"r10":1.0,"median_rank":2.0})");
  EXPECT_EQ(json["chance_r1"], 0.25);
  EXPECT_EQ(json["clips"], 4);
}

TEST(RetrievalScores, OfChanceAreThoseOfAnyOrder) {
  const RetrievalScores chance = chance_scores(8);
  EXPECT_DOUBLE_EQ(chance.at("r1"), 1.0 / 8);
  EXPECT_DOUBLE_EQ(chance.at("r5"), 5.0 / 8);
  EXPECT_DOUBLE_EQ(chance.at("r10"), 1.0);
  EXPECT_DOUBLE_EQ(chance.at("median_rank"), 4.5);
}

TEST(RetrievalScores, OfBothDirectionsStandInOneList) {
  const RetrievalRanks ranks{.audio_to_video = {1, 2, 6, 9}, .video_to_audio = {1, 1, 1, 3}};
  const MetricValues values = values_of(summarize_ranks(ranks));
  EXPECT_DOUBLE_EQ(values.at("audio_to_video_r5"), 0.5);
  EXPECT_DOUBLE_EQ(values.at("video_to_audio_r1"), 0.75);
  EXPECT_DOUBLE_EQ(values.at("video_to_audio_median_rank"), 1.0);
  EXPECT_DOUBLE_EQ(values.at("chance_r1"), 0.25);
}

TEST(RetrievalRanks, TwentyThousandClipsTakeSeconds) {
  torch::manual_seed(5);
  const torch::Tensor a = torch::randn({20000, 64}), v = a + 5 * torch::randn({20000, 64});
  const double before = thread_cpu_seconds();
  const RetrievalResult result = evaluate_retrieval(a, v);
  const double seconds = thread_cpu_seconds() - before;
  RecordProperty("seconds", std::to_string(seconds));
  std::printf("20000 x 64, both directions: %.2f s, R@1 %.4f\n", seconds, result.audio_to_video.at("r1"));
  EXPECT_LT(seconds, 60) << "of this thread; the bound is loose for the reference BLAS";
  EXPECT_GT(result.audio_to_video.at("r10"), 10.0 / 20000);
}

}  // namespace
}  // namespace cavmae
