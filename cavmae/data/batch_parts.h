// How the positions of an epoch's order become batches, and a batch the parts of several ranks. A plain
// value; safe from any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "cavmae/data/clip.h"

namespace cavmae {

// Note [Batches of positions]
// A batch is so many positions of the order that follow each other, whether or not their clips can be read:
// one that cannot be read leaves its batch a clip smaller and moves no other. A rank's part is a stretch of
// the batch; parts differ by one position at most. So every rank knows without asking which clips are its
// own, one rank reads what several read together, and a run goes on at the same clips with any number of
// ranks.

// A rank's part of a batch.
struct BatchPart {
  int64_t first = 0, end = 0;  // in the rank's own order
  int64_t first_row = 0;       // where the part begins in the batch
  int64_t rows = 0;            // positions of the whole batch
  int64_t next_position = 0;   // behind the whole batch, in the order of all
};

class BatchParts {
 public:
  // Of an order of `num_clips` positions, from epoch.start_position on.
  BatchParts(int64_t num_clips, int64_t batch_size, const EpochOptions& epoch);

  int64_t count() const { return count_; }  // batches
  BatchPart at(int64_t batch) const;
  // Of the whole order, what the rank reads: its parts, one after another.
  std::vector<int64_t> own(const std::vector<int64_t>& of_order) const;

 private:
  int64_t start_, batch_size_, num_positions_;
  RankPart part_;
  int64_t count_;
};

// Where the part of `rank` begins in a batch of so many positions; that of rank `ranks` is the batch's end.
inline int64_t part_begin(int64_t rows, int64_t rank, int64_t ranks) {
  return rows * rank / ranks;
}

}  // namespace cavmae
