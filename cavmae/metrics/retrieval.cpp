#include "cavmae/metrics/retrieval.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/core/parallel.h"
#include "cavmae/metrics/rank_counter.h"

namespace cavmae {
namespace {

// Enough rows and columns to keep a matrix product busy; 16 MiB of scores at a time.
constexpr int64_t kBlockQueries = 512;
constexpr int64_t kBlockGallery = 8192;

// Counts all scores between queries and gallery, both normalised [N, D].
void count_scores(const torch::Tensor& queries, const torch::Tensor& gallery, RankCounter& counter,
                  RankCounter::Directions directions) {
  const int64_t n = queries.size(0);
  for (int64_t row = 0; row < n; row += kBlockQueries) {
    const torch::Tensor some_queries = queries.narrow(0, row, std::min(kBlockQueries, n - row));
    for (int64_t column = 0; column < n; column += kBlockGallery) {
      const torch::Tensor some_gallery = gallery.narrow(0, column, std::min(kBlockGallery, n - column));
      counter.add(
          {.scores = some_queries.matmul(some_gallery.t()).contiguous(), .row = row, .column = column},
          directions);
    }
  }
}

void check_pair(const torch::Tensor& queries, const torch::Tensor& gallery) {
  CAVMAE_CHECK(
      queries.defined() && gallery.defined() && queries.dim() == 2 && queries.sizes() == gallery.sizes(),
      "retrieval needs two [N, D] tensors of one size, partner beside partner");
  CAVMAE_CHECK(queries.size(0) > 0, "retrieval needs at least one clip; there is none");
}

RetrievalScores share_of_hits(std::vector<double> ranks) {
  CAVMAE_CHECK(!ranks.empty(), "retrieval needs at least one clip; there is none");
  const auto n = static_cast<double>(ranks.size());
  const auto recall = [&](double k) {
    return static_cast<double>(std::ranges::count_if(ranks, [k](double rank) { return rank <= k; })) / n;
  };
  RetrievalScores out{{"r1", recall(1)}, {"r5", recall(5)}, {"r10", recall(10)}};
  std::ranges::sort(ranks);
  const size_t middle = ranks.size() / 2;
  out.set("median_rank", ranks.size() % 2 == 1 ? ranks[middle] : 0.5 * (ranks[middle - 1] + ranks[middle]));
  return out;
}

// In double, in sums of their own that a compiler can keep side by side.
double sum_of_squares(const float* values, int64_t count) {
  constexpr int64_t kSums = 8;
  std::array<double, kSums> sums = {};
  int64_t i = 0;
  for (; i + kSums <= count; i += kSums)
    for (int64_t k = 0; k < kSums; ++k) sums[k] += static_cast<double>(values[i + k]) * values[i + k];
  double total = std::accumulate(sums.begin(), sums.end(), 0.0);
  for (; i < count; ++i) total += static_cast<double>(values[i]) * values[i];
  return total;
}

}  // namespace

torch::Tensor normalize_embeddings(const torch::Tensor& embeddings, const char* what) {
  torch::NoGradGuard no_grad;
  const torch::Tensor rows = embeddings.to(torch::kCPU, torch::kFloat32).contiguous();
  torch::Tensor out = torch::empty_like(rows);
  const int64_t width = rows.size(1);
  std::vector<double> lengths(static_cast<size_t>(rows.size(0)));
  at::parallel_for(0, rows.size(0), 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float* from = rows.data_ptr<float>() + i * width;
      float* to = out.data_ptr<float>() + i * width;
      const double length = std::sqrt(sum_of_squares(from, width));
      for (int64_t k = 0; k < width; ++k) to[k] = static_cast<float>(from[k] / length);
      lengths[static_cast<size_t>(i)] = length;
    }
  });
  for (size_t i = 0; i < lengths.size(); ++i) {
    CAVMAE_CHECK(
        std::isfinite(lengths[i]), what, " ", i,
        " holds a value that is not finite, so it cannot be ranked; check the checkpoint it was made with");
    CAVMAE_CHECK(
        lengths[i] > 0, what, " ", i,
        " is all zeros, so it has no direction and cannot be ranked; check the checkpoint it was made with");
  }
  return out;
}

std::vector<double> retrieval_ranks(const torch::Tensor& queries, const torch::Tensor& gallery) {
  check_pair(queries, gallery);
  const torch::Tensor q = normalize_embeddings(queries, "query embedding");
  const torch::Tensor g = normalize_embeddings(gallery, "gallery embedding");
  const LeftOutAnswers none;
  RankCounter counter((q * g).sum(1), none);
  count_scores(q, g, counter, RankCounter::Directions::rows);
  return counter.row_ranks();
}

RetrievalRanks retrieval_ranks_both_ways(const torch::Tensor& audio, const torch::Tensor& video,
                                         const LeftOutAnswers& left_out) {
  check_pair(audio, video);
  CAVMAE_CHECK(left_out.empty() || static_cast<int64_t>(left_out.size()) == audio.size(0), "retrieval of ",
               audio.size(0), " clips with answers left out of ", left_out.size());
  const torch::Tensor a = normalize_embeddings(audio, "audio embedding");
  const torch::Tensor v = normalize_embeddings(video, "video embedding");
  RankCounter counter((a * v).sum(1), left_out);
  count_scores(a, v, counter, RankCounter::Directions::both);
  return {.audio_to_video = counter.row_ranks(), .video_to_audio = counter.column_ranks()};
}

RetrievalScores summarize_ranks(const std::vector<double>& ranks) {
  return share_of_hits(ranks);
}

RetrievalResult summarize_ranks(const RetrievalRanks& ranks) {
  return {.audio_to_video = share_of_hits(ranks.audio_to_video),
          .video_to_audio = share_of_hits(ranks.video_to_audio),
          .clips = static_cast<int64_t>(ranks.audio_to_video.size())};
}

RetrievalResult evaluate_retrieval(const torch::Tensor& audio, const torch::Tensor& video,
                                   const LeftOutAnswers& left_out) {
  RetrievalResult result = summarize_ranks(retrieval_ranks_both_ways(audio, video, left_out));
  if (!left_out.empty()) result.chance = mean_chance(left_out);
  return result;
}

RetrievalScores chance_scores(int64_t clips) {
  const auto n = static_cast<double>(clips);
  const auto recall = [n](double k) { return std::min(1.0, k / n); };
  return {{"r1", recall(1)}, {"r5", recall(5)}, {"r10", recall(10)}, {"median_rank", (n + 1) / 2}};
}

RetrievalScores mean_chance(const LeftOutAnswers& left_out) {
  const auto num_clips = static_cast<int64_t>(left_out.size());
  RetrievalScores mean;
  for (const auto& own : left_out) {
    const RetrievalScores one = chance_scores(num_clips - static_cast<int64_t>(own.size()));
    for (const auto& [key, value] : one) mean.add(key, value / static_cast<double>(num_clips));
  }
  return mean;
}

RetrievalScores chance_scores(const RetrievalResult& result) {
  return result.chance ? *result.chance : chance_scores(result.clips);
}

MetricValues values_of(const RetrievalResult& result) {
  MetricValues values;
  values.append(result.audio_to_video, "audio_to_video_");
  values.append(result.video_to_audio, "video_to_audio_");
  values.set("chance_r1", chance_scores(result).at("r1"));
  return values;
}

Json to_json(const RetrievalResult& result) {
  return {{"audio_to_video", to_json(result.audio_to_video)},
          {"video_to_audio", to_json(result.video_to_audio)},
          {"chance_r1", chance_scores(result).at("r1")},
          {"clips", result.clips}};
}

}  // namespace cavmae
