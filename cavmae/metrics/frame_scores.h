// Retrieval among clips that have several vectors each, one a picture and one a stretch of sound. Free
// functions; safe from several threads.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cavmae/core/torch.h"
#include "cavmae/metrics/retrieval.h"

namespace cavmae {

// Note [Frame scores]: how two clips with K unit vectors a_k and v_l score (CAV-MAE Sync, CVPR 2025).
//   mean:          mean over k, l of <a_k, v_l>, the inner product of the means
//   diagonal_mean: mean over k of <a_k, v_k>, which the published results are of
//   diagonal_max:  the highest <a_k, v_k>
//   max:           the highest <a_k, v_l>
enum class FrameScore { mean, diagonal_mean, diagonal_max, max };
inline std::vector<std::pair<FrameScore, std::string>> option_names(FrameScore) {
  return {{FrameScore::mean, "mean"},
          {FrameScore::diagonal_mean, "diagonal-mean"},
          {FrameScore::diagonal_max, "diagonal-max"},
          {FrameScore::max, "max"}};
}

// audio: float [N, K, D], video: float [M, K, D], of any length -> float [N, M]
torch::Tensor frame_scores(const torch::Tensor& audio, const torch::Tensor& video, FrameScore score);

// As evaluate_retrieval(), from blocks of scores of bounded memory. audio, video: float [N, K, D]
RetrievalResult evaluate_frame_retrieval(const torch::Tensor& audio, const torch::Tensor& video,
                                         FrameScore score, const LeftOutAnswers& left_out = {});

}  // namespace cavmae
