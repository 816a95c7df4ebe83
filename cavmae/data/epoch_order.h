// The order in which an epoch visits clips. A free function; safe from any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "cavmae/data/loader.h"

namespace cavmae {

// A permutation of 0..num_clips-1 that depends on (seed, epoch) alone, or the plain order.
std::vector<int64_t> epoch_order(int64_t num_clips, const EpochOptions& options);

}  // namespace cavmae
