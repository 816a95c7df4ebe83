#include "cavmae/metrics/rank_counter.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "cavmae/core/parallel.h"

namespace cavmae {

RankCounter::RankCounter(torch::Tensor partner, const LeftOutAnswers& left_out)
    : partner_(std::move(partner)), left_out_(left_out) {
  const auto n = static_cast<size_t>(partner_.size(0));
  for (Places* places : {&rows_, &columns_})
    *places = {.better = std::vector<int32_t>(n), .level = std::vector<int32_t>(n)};
}

std::vector<double> RankCounter::ranks(const Places& places) {
  std::vector<double> out(places.better.size());
  for (size_t i = 0; i < out.size(); ++i)  // the mean of the places that are shared
    out[i] = 1.0 + places.better[i] + 0.5 * std::max(0, places.level[i] - 1);
  return out;
}

void RankCounter::add(const Block& block, Directions directions) {
  leave_out(block);
  count_rows(block);
  if (directions == Directions::both) count_columns(block);
}

// Each query of the block against the block's gallery.
void RankCounter::count_rows(const Block& block) {
  const int64_t rows = block.scores.size(0), columns = block.scores.size(1);
  const float* const first = block.scores.data_ptr<float>();
  const float* const partner = partner_.data_ptr<float>();
  at::parallel_for(0, rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const float* scores = first + r * columns;
      const float above = partner[block.row + r] + kRetrievalTie;
      const float below = partner[block.row + r] - kRetrievalTie;
      int32_t better = 0, not_worse = 0;
      for (int64_t c = 0; c < columns; ++c) {
        better += scores[c] > above;
        not_worse += scores[c] >= below;
      }
      rows_.better[block.row + r] += better;
      rows_.level[block.row + r] += not_worse - better;
    }
  });
}

// Each gallery item of the block, as a query, against the block's queries.
void RankCounter::count_columns(const Block& block) {
  const int64_t rows = block.scores.size(0), columns = block.scores.size(1);
  const float* const first = block.scores.data_ptr<float>();
  const float* const own = partner_.data_ptr<float>() + block.column;
  at::parallel_for(0, columns, 512, [&](int64_t begin, int64_t end) {
    int32_t* better = columns_.better.data() + block.column;
    int32_t* level = columns_.level.data() + block.column;
    for (int64_t r = 0; r < rows; ++r) {
      const float* scores = first + r * columns;
      for (int64_t c = begin; c < end; ++c) {
        const int32_t above = scores[c] > own[c] + kRetrievalTie;
        better[c] += above;
        level[c] += (scores[c] >= own[c] - kRetrievalTie) - above;
      }
    }
  });
}

// Lowers the scores of answers that do not count below all others, in either direction.
void RankCounter::leave_out(const Block& block) const {
  if (left_out_.empty()) return;
  const int64_t rows = block.scores.size(0), columns = block.scores.size(1);
  float* const scores = block.scores.data_ptr<float>();
  for (int64_t r = 0; r < rows; ++r)
    for (const int64_t answer : left_out_[block.row + r])
      if (const int64_t c = answer - block.column; c >= 0 && c < columns)
        scores[r * columns + c] = -std::numeric_limits<float>::infinity();
}

}  // namespace cavmae
