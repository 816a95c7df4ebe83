// Retrieval: embeddings of a data set and their ranks. Free functions.
#pragma once

#include <cstdint>
#include <vector>

#include "cavmae/core/json.h"
#include "cavmae/core/torch.h"

namespace cavmae {

struct RetrievalScores {
  double r1 = 0, r5 = 0, r10 = 0;  // shares of the queries whose partner is among the first 1, 5, 10
  double median_rank = 0;          // 1 is best
};

struct RetrievalResult {
  RetrievalScores audio_to_video, video_to_audio;
  double chance_r1 = 0;  // 1 / N
  int64_t clips = 0;     // N
};

// 1-based ranks [N] (double: ties share the mean of their places, so that luck does not count). Query i's
// partner is gallery i. queries, gallery: float [N, D]; cosine similarity; computed in blocks, never N x N in
// memory.
std::vector<double> retrieval_ranks(const torch::Tensor& queries, const torch::Tensor& gallery);

RetrievalScores summarize_ranks(const std::vector<double>& ranks);
RetrievalResult evaluate_retrieval(const torch::Tensor& audio, const torch::Tensor& video);
Json to_json(const RetrievalResult& result);

}  // namespace cavmae
