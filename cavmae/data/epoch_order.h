// The order in which an epoch visits clips. Free functions; safe from any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "cavmae/data/clip.h"

namespace cavmae {

// A permutation of 0..num_clips-1 that depends on (seed, epoch) alone, or the plain order. With `weights`,
// one a clip and none negative, a shuffled order is num_clips draws with replacement in proportion to them.
std::vector<int64_t> epoch_order(int64_t num_clips, const EpochOptions& options,
                                 const std::vector<double>& weights = {});

// For each position how often its clip stands before it.
std::vector<int64_t> occurrences(const std::vector<int64_t>& order, int64_t num_clips);

}  // namespace cavmae
