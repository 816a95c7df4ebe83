// Scores of clips with several vectors: against their definition, one pair after another, and against the
// authors' code of CAV-MAE Sync.
#include "cavmae/metrics/frame_scores.h"

#include <algorithm>
#include <limits>
#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/options.h"

#include "tests/support/golden.h"
#include "tests/support/tensor_bytes.h"

namespace cavmae {
namespace {

using testing_support::golden;
using testing_support::IsNear;

constexpr FrameScore kScores[] = {FrameScore::mean, FrameScore::diagonal_mean, FrameScore::diagonal_max,
                                  FrameScore::max};

// By the definition of Note [Frame scores], in double.
double score_of(const torch::Tensor& a, const torch::Tensor& v, FrameScore score) {
  const auto unit = [](const torch::Tensor& x) {
    return x.to(torch::kFloat64) / x.to(torch::kFloat64).norm();
  };
  const int64_t frames = a.size(0);
  double sum = 0, diagonal_sum = 0;
  double highest = -std::numeric_limits<double>::infinity(), diagonal_highest = highest;
  for (int64_t k = 0; k < frames; ++k)
    for (int64_t l = 0; l < frames; ++l) {
      const double product = unit(a[k]).dot(unit(v[l])).item<double>();
      sum += product;
      highest = std::max(highest, product);
      if (k != l) continue;
      diagonal_sum += product;
      diagonal_highest = std::max(diagonal_highest, product);
    }
  const auto n = static_cast<double>(frames);
  return score == FrameScore::mean            ? sum / (n * n)
         : score == FrameScore::diagonal_mean ? diagonal_sum / n
         : score == FrameScore::diagonal_max  ? diagonal_highest
                                              : highest;
}

TEST(FrameScores, EqualTheirDefinition) {
  torch::manual_seed(3);
  for (const int64_t frames : {1, 3}) {
    const torch::Tensor a = torch::randn({5, frames, 7}), v = torch::randn({4, frames, 7});
    for (const FrameScore score : kScores) {
      const torch::Tensor all = frame_scores(a, v, score);
      for (int64_t i = 0; i < 5; ++i)
        for (int64_t j = 0; j < 4; ++j)
          EXPECT_NEAR(all[i][j].item<double>(), score_of(a[i], v[j], score), 1e-6) << enum_name(score);
    }
  }
}

// By the same definition at once, from all products of vectors: [N, K, M, K].
torch::Tensor scores_of_all(const torch::Tensor& a, const torch::Tensor& v, FrameScore score) {
  const auto unit = [](const torch::Tensor& x) { return (x / x.norm(2, -1, true)).flatten(0, 1); };
  const int64_t frames = a.size(1);
  const torch::Tensor products = unit(a).matmul(unit(v).t()).view({a.size(0), frames, v.size(0), frames});
  const torch::Tensor own = products.diagonal(0, 1, 3);  // [N, M, K]
  return score == FrameScore::mean            ? products.mean(at::IntArrayRef{1, 3})
         : score == FrameScore::diagonal_mean ? own.mean(-1)
         : score == FrameScore::diagonal_max  ? own.amax(-1)
                                              : products.amax({1, 3});
}

// More clips than a block holds, which are the fewer the more products a pair takes.
TEST(FrameScores, SeveralBlocksMakeTheWholeMatrix) {
  torch::manual_seed(6);
  struct Case {
    FrameScore score;
    int64_t clips, frames;
  };
  for (const Case& c : {Case{FrameScore::mean, 2100, 1}, Case{FrameScore::diagonal_mean, 2100, 1},
                        Case{FrameScore::diagonal_max, 530, 4}, Case{FrameScore::diagonal_max, 1100, 2},
                        Case{FrameScore::max, 150, 16}, Case{FrameScore::max, 300, 8}}) {
    SCOPED_TRACE(concat(enum_name(c.score), " of ", c.clips, " clips"));
    const torch::Tensor a = torch::randn({c.clips, c.frames, 3}),
                        v = torch::randn({c.clips + 5, c.frames, 3});
    EXPECT_THAT(frame_scores(a, v, c.score), IsNear(scores_of_all(a, v, c.score), 1e-5));
  }
}

// All products of vectors would take 368 MB, a block's take 16 MiB.
TEST(FrameScores, MemoryOfRanksIsThatOfABlock) {
  torch::manual_seed(7);
  const torch::Tensor a = torch::randn({600, 16, 4}), v = torch::randn({600, 16, 4});
  constexpr int64_t kBlockBytes = int64_t{16} << 20;
  for (const FrameScore score : {FrameScore::diagonal_max, FrameScore::max}) {
    const auto bytes = std::make_shared<testing_support::TensorBytes>();
    {
      const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, bytes);
      evaluate_frame_retrieval(a, v, score);
    }
    EXPECT_GT(bytes->most(), kBlockBytes / 2) << enum_name(score) << ": there is something to measure";
    EXPECT_LT(bytes->most(), 3 * kBlockBytes) << enum_name(score);
  }
}

// More clips than a block holds.
TEST(FrameScores, RanksAreThoseOfTheWholeMatrix) {
  torch::manual_seed(4);
  constexpr int64_t kClips = 150, kFrames = 16;
  const torch::Tensor a = torch::randn({kClips, kFrames, 8}),
                      v = a + 2.0 * torch::randn({kClips, kFrames, 8});
  for (const FrameScore score : kScores) {
    const torch::Tensor all = frame_scores(a, v, score);
    const RetrievalResult result = evaluate_frame_retrieval(a, v, score);
    const torch::Tensor own = all.diag();
    const auto r1 = [&](const torch::Tensor& better) {
      return better.sum(1).eq(0).to(torch::kFloat64).mean().item<double>();
    };
    const torch::Tensor higher_to_video = all.gt(own.unsqueeze(1) + kRetrievalTie);
    const torch::Tensor higher_to_audio = all.t().gt(own.unsqueeze(1) + kRetrievalTie);
    EXPECT_NEAR(result.audio_to_video.at("r1"), r1(higher_to_video), 1e-9) << enum_name(score);
    EXPECT_NEAR(result.video_to_audio.at("r1"), r1(higher_to_audio), 1e-9) << enum_name(score);
  }
}

TEST(FrameScores, OneVectorAClipIsPlainRetrieval) {
  torch::manual_seed(5);
  const torch::Tensor a = torch::randn({40, 9}), v = a + torch::randn({40, 9});
  const RetrievalResult plain = evaluate_retrieval(a, v);
  for (const FrameScore score : kScores) {
    const RetrievalResult frames = evaluate_frame_retrieval(a.unsqueeze(1), v.unsqueeze(1), score);
    EXPECT_EQ(to_json(frames), to_json(plain)) << enum_name(score);
  }
}

TEST(FrameScores, AgreeWithTheAuthors) {
  const TensorFile file = golden("sync/sync_retrieval");
  const torch::Tensor audio = file.at("case.audio"), video = file.at("case.video");
  for (const FrameScore score : kScores) {
    std::string name = enum_name(score);
    std::replace(name.begin(), name.end(), '-', '_');
    const std::string prefix = "case." + name + ".";
    const torch::Tensor all = frame_scores(audio, video, score);
    EXPECT_THAT(all, IsNear(file.at(prefix + "audio_to_video.similarity"), 2e-5)) << name;
    EXPECT_THAT(all.t(), IsNear(file.at(prefix + "video_to_audio.similarity"), 2e-5)) << name;
    const RetrievalResult result = evaluate_frame_retrieval(audio, video, score);
    for (const auto& [direction, scores] : {std::pair("audio_to_video", &result.audio_to_video),
                                            std::pair("video_to_audio", &result.video_to_audio)}) {
      const torch::Tensor wanted = file.at(prefix + direction + ".metrics");
      const char* keys[] = {"r1", "r5", "r10", "median_rank"};
      for (int64_t i = 0; i < 4; ++i)
        EXPECT_NEAR(scores->at(keys[i]), wanted[i].item<double>(), 1e-6) << name << " " << keys[i];
      const torch::Tensor matrix = std::string(direction) == "audio_to_video" ? all : all.t();
      const torch::Tensor ranks = matrix.gt(matrix.diag().unsqueeze(1)).sum(1) + 1;
      EXPECT_TRUE(ranks.equal(file.at(prefix + direction + ".ranks"))) << name;
    }
  }
}

}  // namespace
}  // namespace cavmae
