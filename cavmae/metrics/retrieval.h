// Retrieval: the rank of each clip's partner when the clips of one modality are searched by the other. Free
// functions; safe from several threads.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "cavmae/core/json.h"
#include "cavmae/core/torch.h"
#include "cavmae/metrics/metric_values.h"

namespace cavmae {

// Note [Ties]: scores closer than kRetrievalTie are the same score: below it the order of two answers is that
// of rounding inside the matrix product. A partner that ties with others gets the mean of the places they
// share, so a model that gives every clip one embedding has rank (N + 1) / 2 and no hit, not N lucky ones.
inline constexpr float kRetrievalTie = 1e-6f;

// The values of retrieval_metrics() in one direction: "r1", "r5" and "r10", the shares of the queries whose
// partner's rank is at most 1, 5, 10, and "median_rank": 1 is best; the mean of the two middle ranks when N
// is even.
using RetrievalScores = MetricValues;

struct RetrievalResult {
  RetrievalScores audio_to_video, video_to_audio;
  int64_t clips = 0;                                     // N
  std::optional<RetrievalScores> chance = std::nullopt;  // where answers were left out, else that of N clips
};

// Answers that are neither right nor wrong: of each clip, those that do not count for it, without itself,
// [N]. If a does not count for b, b does not for a. Empty: all count.
using LeftOutAnswers = std::vector<std::vector<int64_t>>;

// 1-based ranks [N], see Note [Ties]. Query i's partner is gallery i. queries, gallery: float [N, D], cosine
// similarity; computed in blocks, never N x N in memory. Throws Error naming the first embedding that is zero
// or not finite.
std::vector<double> retrieval_ranks(const torch::Tensor& queries, const torch::Tensor& gallery);

// The same in both directions from one pass over the scores.
struct RetrievalRanks {
  std::vector<double> audio_to_video, video_to_audio;  // [N]
};
RetrievalRanks retrieval_ranks_both_ways(const torch::Tensor& audio, const torch::Tensor& video,
                                         const LeftOutAnswers& left_out = {});

// Rows divided by their length, float [N, D] on the CPU. `what` names them in the error ("audio embedding").
torch::Tensor normalize_embeddings(const torch::Tensor& embeddings, const char* what);

RetrievalScores summarize_ranks(const std::vector<double>& ranks);
RetrievalResult summarize_ranks(const RetrievalRanks& ranks);
RetrievalResult evaluate_retrieval(const torch::Tensor& audio, const torch::Tensor& video,
                                   const LeftOutAnswers& left_out = {});
// What answers in any order score among `clips` clips; the same of a result, the mean over its queries where
// answers were left out.
RetrievalScores chance_scores(int64_t clips);
RetrievalScores mean_chance(const LeftOutAnswers& left_out);
RetrievalScores chance_scores(const RetrievalResult& result);

// Both directions and chance in one list: "audio_to_video_r1", ..., "chance_r1".
MetricValues values_of(const RetrievalResult& result);
// {"audio_to_video": {"r1": ..}, "video_to_audio": {..}, "chance_r1", "clips"}
Json to_json(const RetrievalResult& result);

}  // namespace cavmae
