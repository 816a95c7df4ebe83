// Ranks of partners from blocks of scores, both ways at once. One owner a counter; a block is counted by
// several threads.
#pragma once

#include <cstdint>
#include <vector>

#include "cavmae/core/torch.h"
#include "cavmae/metrics/retrieval.h"

namespace cavmae {

class RankCounter {
 public:
  // partner: float [N], the score of each clip's own pair. `left_out` outlives this.
  RankCounter(torch::Tensor partner, const LeftOutAnswers& left_out);

  enum class Directions { rows, both };
  // scores: float [rows, columns], contiguous, changed: those of the queries from `row` on with the gallery
  // from `column` on. Every pair once.
  struct Block {
    torch::Tensor scores;
    int64_t row = 0, column = 0;
  };
  void add(const Block& block, Directions directions = Directions::both);

  // 1-based, see Note [Ties]: of rows as queries, and of columns.
  std::vector<double> row_ranks() const { return ranks(rows_); }
  std::vector<double> column_ranks() const { return ranks(columns_); }

 private:
  // How many answers stand above the partner, and how many, the partner included, level with it.
  struct Places {
    std::vector<int32_t> better, level;  // [N]
  };
  static std::vector<double> ranks(const Places& places);
  void count_rows(const Block& block);
  void count_columns(const Block& block);
  void leave_out(const Block& block) const;

  torch::Tensor partner_;
  const LeftOutAnswers& left_out_;
  Places rows_, columns_;
};

}  // namespace cavmae
