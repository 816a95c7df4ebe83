#include "cavmae/metrics/retrieval.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/core/parallel.h"

namespace cavmae {
namespace {

// Enough rows and columns to keep a matrix product busy; 16 MiB of scores at a time.
constexpr int64_t kBlockQueries = 512;
constexpr int64_t kBlockGallery = 8192;

// How many answers stand above the partner, and how many, the partner included, level with it.
struct Places {
  std::vector<int32_t> better, level;  // [N]
  explicit Places(int64_t n) : better(n, 0), level(n, 0) {}

  std::vector<double> ranks() const {
    std::vector<double> out(better.size());
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = 1.0 + better[i] + 0.5 * std::max(0, level[i] - 1);  // the mean of the places that are shared
    return out;
  }
};

// A block of scores: float [rows, columns], contiguous, of queries from `row` on and gallery from `column`.
struct Block {
  const float* scores;
  int64_t row, rows, column, columns;
};

// Each query of the block against the block's gallery.
void count_rows(const Block& block, const float* partner, Places& places) {
  at::parallel_for(0, block.rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const float* scores = block.scores + r * block.columns;
      const float above = partner[block.row + r] + kRetrievalTie;
      const float below = partner[block.row + r] - kRetrievalTie;
      int32_t better = 0, not_worse = 0;
      for (int64_t c = 0; c < block.columns; ++c) {
        better += scores[c] > above;
        not_worse += scores[c] >= below;
      }
      places.better[block.row + r] += better;
      places.level[block.row + r] += not_worse - better;
    }
  });
}

// Each gallery item of the block, as a query, against the block's queries.
void count_columns(const Block& block, const float* partner, Places& places) {
  at::parallel_for(0, block.columns, 512, [&](int64_t begin, int64_t end) {
    int32_t* better = places.better.data() + block.column;
    int32_t* level = places.level.data() + block.column;
    const float* own = partner + block.column;
    for (int64_t r = 0; r < block.rows; ++r) {
      const float* scores = block.scores + r * block.columns;
      for (int64_t c = begin; c < end; ++c) {
        const int32_t above = scores[c] > own[c] + kRetrievalTie;
        better[c] += above;
        level[c] += (scores[c] >= own[c] - kRetrievalTie) - above;
      }
    }
  });
}

// Lowers the scores of answers that do not count below all others, in either direction.
void leave_out(const LeftOutAnswers& left_out, const Block& block, float* scores) {
  if (left_out.empty()) return;
  for (int64_t r = 0; r < block.rows; ++r)
    for (const int64_t answer : left_out[block.row + r])
      if (const int64_t c = answer - block.column; c >= 0 && c < block.columns)
        scores[r * block.columns + c] = -std::numeric_limits<float>::infinity();
}

// Calls `visit` with every block of the scores between queries and gallery, both normalised [N, D].
template <class Visit>
void for_each_block(const torch::Tensor& queries, const torch::Tensor& gallery,
                    const LeftOutAnswers& left_out, Visit&& visit) {
  const int64_t n = queries.size(0);
  for (int64_t row = 0; row < n; row += kBlockQueries) {
    const torch::Tensor some_queries = queries.narrow(0, row, std::min(kBlockQueries, n - row));
    for (int64_t column = 0; column < n; column += kBlockGallery) {
      const torch::Tensor some_gallery = gallery.narrow(0, column, std::min(kBlockGallery, n - column));
      const torch::Tensor scores = some_queries.matmul(some_gallery.t()).contiguous();
      const Block block{.scores = scores.data_ptr<float>(),
                        .row = row,
                        .rows = scores.size(0),
                        .column = column,
                        .columns = scores.size(1)};
      leave_out(left_out, block, scores.data_ptr<float>());
      visit(block);
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

RetrievalScores mean_chance(const LeftOutAnswers& left_out) {
  const auto num_clips = static_cast<int64_t>(left_out.size());
  RetrievalScores mean;
  for (const auto& own : left_out) {
    const RetrievalScores one = chance_scores(num_clips - static_cast<int64_t>(own.size()));
    for (const auto& [key, value] : one) mean.add(key, value / static_cast<double>(num_clips));
  }
  return mean;
}

}  // namespace

torch::Tensor normalize_embeddings(const torch::Tensor& embeddings, const char* what) {
  torch::NoGradGuard no_grad;
  const torch::Tensor rows = embeddings.to(torch::kCPU, torch::kFloat32).contiguous();
  const torch::Tensor length = rows.to(torch::kFloat64).square().sum(1, /*keepdim=*/true).sqrt();  // [N, 1]
  const double* lengths = length.data_ptr<double>();
  for (int64_t i = 0; i < rows.size(0); ++i) {
    CAVMAE_CHECK(
        std::isfinite(lengths[i]), what, " ", i,
        " holds a value that is not finite, so it cannot be ranked; check the checkpoint it was made with");
    CAVMAE_CHECK(
        lengths[i] > 0, what, " ", i,
        " is all zeros, so it has no direction and cannot be ranked; check the checkpoint it was made with");
  }
  return (rows.to(torch::kFloat64) / length).to(torch::kFloat32);
}

std::vector<double> retrieval_ranks(const torch::Tensor& queries, const torch::Tensor& gallery) {
  check_pair(queries, gallery);
  const torch::Tensor q = normalize_embeddings(queries, "query embedding");
  const torch::Tensor g = normalize_embeddings(gallery, "gallery embedding");
  const torch::Tensor partner = (q * g).sum(1);
  Places places(q.size(0));
  for_each_block(q, g, {}, [&](const Block& block) { count_rows(block, partner.data_ptr<float>(), places); });
  return places.ranks();
}

RetrievalRanks retrieval_ranks_both_ways(const torch::Tensor& audio, const torch::Tensor& video,
                                         const LeftOutAnswers& left_out) {
  check_pair(audio, video);
  CAVMAE_CHECK(left_out.empty() || static_cast<int64_t>(left_out.size()) == audio.size(0), "retrieval of ",
               audio.size(0), " clips with answers left out of ", left_out.size());
  const torch::Tensor a = normalize_embeddings(audio, "audio embedding");
  const torch::Tensor v = normalize_embeddings(video, "video embedding");
  const torch::Tensor partner = (a * v).sum(1);
  Places to_video(a.size(0)), to_audio(a.size(0));
  for_each_block(a, v, left_out, [&](const Block& block) {
    count_rows(block, partner.data_ptr<float>(), to_video);
    count_columns(block, partner.data_ptr<float>(), to_audio);
  });
  return {.audio_to_video = to_video.ranks(), .video_to_audio = to_audio.ranks()};
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
