// Passes over clips in evaluation view, batch by batch: each clip with what it has. Free functions.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/data/loader.h"

namespace cavmae {

struct ClipPass {
  std::shared_ptr<const ClipReader> reader;
  const std::vector<ClipSource>& clips;
  ViewOptions view;
  LoaderOptions loader;
  torch::Device device = torch::kCPU;  // where batches are handed out
};

// Takes a batch and the positions of its clips in the list.
using BatchSink = std::function<void(const Batch& batch, const std::vector<int64_t>& positions)>;

// One pass over the clips at `positions`; returns those that could not be read. Throws DataError past
// loader.max_bad_ratio.
std::vector<BadClip> pass_over(const ClipPass& pass, const std::vector<int64_t>& positions, Need need,
                               const BatchSink& sink, std::shared_ptr<Log> log);

// Each clip once: with both sides where it has them, then what is left by its sound, then by its picture.
// What fails on the way is not worth a warning; what fails every time is. Throws DataError past
// loader.max_bad_ratio.
std::vector<BadClip> pass_over_what_there_is(const ClipPass& pass, const BatchSink& sink,
                                             std::shared_ptr<Log> log);

// Positions of the clips whose lists name both sides, or one alone.
struct ClipsBySides {
  std::vector<int64_t> both, audio_alone, video_alone;
};
ClipsBySides sort_by_sides(const std::vector<ClipSource>& clips);

// Throws DataError when more clips failed than loader.max_bad_ratio allows.
void check_failed_share(const std::vector<BadClip>& failed, const ClipPass& pass);

// Positions of clips 0 to n - 1.
std::vector<int64_t> all_positions(size_t n);

}  // namespace cavmae
