#include "cavmae/metrics/frame_scores.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "cavmae/core/error.h"
#include "cavmae/metrics/rank_counter.h"

namespace cavmae {
namespace {

// Products of vectors that are in memory at once: 16 MiB.
constexpr int64_t kBlockProducts = int64_t{1} << 22;

// Whether the score of two clips is the inner product of one vector each.
bool is_product(FrameScore score) {
  return score == FrameScore::mean || score == FrameScore::diagonal_mean;
}

// [N, K, D], each vector of length 1; of scores that are a product, what is multiplied: [N, n].
torch::Tensor prepared(const torch::Tensor& vectors, FrameScore score, const char* what) {
  const auto unit = normalize_embeddings(vectors.flatten(0, 1), what).view(vectors.sizes());
  if (score == FrameScore::mean) return unit.mean(1);
  if (score == FrameScore::diagonal_mean)
    return unit.flatten(1).div_(std::sqrt(static_cast<double>(vectors.size(1))));
  return unit;
}

// -> float [rows, columns], contiguous
torch::Tensor block_scores(const torch::Tensor& a, const torch::Tensor& v, FrameScore score) {
  if (is_product(score)) return a.matmul(v.t());
  const int64_t rows = a.size(0), columns = v.size(0), frames = a.size(1);
  if (score == FrameScore::diagonal_max)  // [K, rows, columns]
    return at::bmm(a.transpose(0, 1), v.permute({1, 2, 0})).amax(0).contiguous();
  return a.flatten(0, 1)
      .matmul(v.flatten(0, 1).t())
      .view({rows, frames, columns, frames})
      .amax({1, 3})
      .contiguous();
}

// Clips a side of a block, so that it is square.
int64_t block_side(FrameScore score, int64_t frames) {
  int64_t products = 1;  // of a pair
  if (score == FrameScore::diagonal_max) products = frames;
  if (score == FrameScore::max) products = frames * frames;
  int64_t side = 1;
  while (4 * side * side * products <= kBlockProducts) side *= 2;
  return side;
}

// The score of each clip with its partner, float [N].
torch::Tensor partner_scores(const torch::Tensor& audio, const torch::Tensor& video, FrameScore score) {
  constexpr int64_t kRows = 64;  // whose products stay in a cache
  std::vector<torch::Tensor> scores;
  for (int64_t row = 0; row < audio.size(0); row += kRows) {
    const int64_t count = std::min(kRows, audio.size(0) - row);
    const auto a = audio.narrow(0, row, count), v = video.narrow(0, row, count);
    if (is_product(score))
      scores.push_back((a * v).sum(1));
    else if (score == FrameScore::diagonal_max)
      scores.push_back((a * v).sum(2).amax(1));
    else
      scores.push_back(at::bmm(a, v.transpose(1, 2)).amax({1, 2}));
  }
  return torch::cat(scores);
}

void check(const torch::Tensor& audio, const torch::Tensor& video) {
  CAVMAE_CHECK(audio.dim() == 3 && video.dim() == 3 && audio.sizes().slice(1) == video.sizes().slice(1) &&
                   audio.size(0) > 0 && video.size(0) > 0,
               "vectors of pictures are [clips, pictures, width], not ", audio.sizes(), " and ",
               video.sizes());
}

template <class Visit>
void for_each_block(const torch::Tensor& a, const torch::Tensor& v, int64_t side, const Visit& visit) {
  for (int64_t row = 0; row < a.size(0); row += side)
    for (int64_t column = 0; column < v.size(0); column += side)
      visit(row, column, a.narrow(0, row, std::min(side, a.size(0) - row)),
            v.narrow(0, column, std::min(side, v.size(0) - column)));
}

}  // namespace

torch::Tensor frame_scores(const torch::Tensor& audio, const torch::Tensor& video, FrameScore score) {
  torch::NoGradGuard no_grad;
  check(audio, video);
  const auto a = prepared(audio, score, "audio vector"), v = prepared(video, score, "video vector");
  const auto out = torch::empty({a.size(0), v.size(0)});
  for_each_block(a, v, block_side(score, audio.size(1)),
                 [&](int64_t row, int64_t column, const torch::Tensor& some_a, const torch::Tensor& some_v) {
                   out.narrow(0, row, some_a.size(0))
                       .narrow(1, column, some_v.size(0))
                       .copy_(block_scores(some_a, some_v, score));
                 });
  return out;
}

RetrievalResult evaluate_frame_retrieval(const torch::Tensor& audio, const torch::Tensor& video,
                                         FrameScore score, const LeftOutAnswers& left_out) {
  torch::NoGradGuard no_grad;
  check(audio, video);
  CAVMAE_CHECK(audio.size(0) == video.size(0), "retrieval of ", audio.size(0), " clips with sound and ",
               video.size(0), " with pictures");
  const auto a = prepared(audio, score, "audio vector"), v = prepared(video, score, "video vector");
  RankCounter counter(partner_scores(a, v, score), left_out);
  for_each_block(a, v, block_side(score, audio.size(1)),
                 [&](int64_t row, int64_t column, const torch::Tensor& some_a, const torch::Tensor& some_v) {
                   counter.add({.scores = block_scores(some_a, some_v, score), .row = row, .column = column});
                 });
  RetrievalResult result =
      summarize_ranks({.audio_to_video = counter.row_ranks(), .video_to_audio = counter.column_ranks()});
  if (!left_out.empty()) result.chance = mean_chance(left_out);
  return result;
}

}  // namespace cavmae
