// What has to be the same on all ranks that share a pass over clips. A free function.
#pragma once

#include "cavmae/core/json.h"
#include "cavmae/data/clip_list.h"
#include "cavmae/eval/clip_passes.h"
#include "cavmae/models/cav_mae.h"

namespace cavmae {

struct SharedPass {
  const ClipList& clips;
  const PassOptions& options;
  const InputSpec& spec;
  Json more = Json::object();  // besides, what the results depend on
};

// Every rank calls it before the pass, whenever it comes to it; returns at once for one alone. Throws
// ConfigError naming the first rank whose clips, model or options are other ones than rank 0's, and what
// differs. `model` may be null.
void check_ranks_share(const SharedPass& pass, const CavMae& model);

}  // namespace cavmae
