// What has to be the same on all ranks of a run, looked at before its first step. Free functions; every rank
// calls them, and either all throw or none.
#pragma once

#include "cavmae/core/json.h"
#include "cavmae/dist/world.h"
#include "cavmae/train/run_state.h"

namespace cavmae {

struct RankRun {
  const Json& config;           // the resolved options
  const DataFingerprint& data;  // what is learned from
  int64_t batch_size = 0;       // of all ranks
  int64_t first_step = 0;       // where the run goes on; -1: no checkpoint was found
};

// Throws ConfigError naming the first rank whose options, data or checkpoint are other ones than rank 0's,
// and what differs; and where a batch has fewer clips than there are ranks.
void check_ranks_agree(World& world, const RankRun& run);

}  // namespace cavmae
