// The mean and deviation of a data set's filterbank, which the model's input is normalised by. A free
// function.
#pragma once

#include <memory>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/data/loader.h"
#include "cavmae/eval/clip_passes.h"

namespace cavmae {

struct FbankStats {
  double mean = 0.0, std = 0.0;  // over every cell of every clip's [T, F] input
  int64_t num_clips = 0;
  std::vector<BadClip> bad_clips;
};

// As the authors compute theirs: over the model's inputs before normalisation, the zeros behind short sounds
// included. Need and title are set here. Throws DataError past loader.max_bad_ratio or when no clip can be
// read.
FbankStats compute_fbank_stats(const ClipList& clips, const InputSpec& spec, const PassOptions& options,
                               std::shared_ptr<Log> log);

}  // namespace cavmae
