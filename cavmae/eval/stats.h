// The mean and deviation of a data set's filterbank, which the model's input is normalised by. A free
// function.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/data/loader.h"

namespace cavmae {

struct StatsOptions {
  LoaderOptions loader;
  std::filesystem::path cache_dir = {};               // may be empty
  std::optional<double> window_start = std::nullopt;  // else the middle of longer files
  bool show_progress = true;
};

struct FbankStats {
  double mean = 0.0, std = 0.0;  // over every cell of every clip's [T, F] input
  int64_t num_clips = 0;
  std::vector<BadClip> bad_clips;
};

// As the authors compute theirs: over the model's inputs before normalisation, the zeros behind short sounds
// included. Throws DataError past loader.max_bad_ratio or when no clip can be read.
FbankStats compute_fbank_stats(std::vector<ClipSource> clips, const InputSpec& spec,
                               const StatsOptions& options, std::shared_ptr<Log> log);

}  // namespace cavmae
