// Clips that a pass could not read, or not whole: put together from what failed on the way, gathered from all
// ranks, told. Free functions; safe from any thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/core/json.h"
#include "cavmae/data/loader.h"
#include "cavmae/dist/world.h"

namespace cavmae {

// Which sides of a clip were lost, and why.
struct LostSides {
  std::optional<BadClip> audio, video;
};

struct FailedClips {
  std::vector<BadClip> failed;   // each once
  std::vector<BadClip> lacking;  // clips that were read by one side because they have no other
};

// `lost` by position in `clips`.
FailedClips account_for(const std::map<int64_t, LostSides>& lost, const ClipList& clips);

// `bad` by position, of the clips at `positions`.
std::map<int64_t, BadClip> by_position(std::vector<BadClip> bad, const ClipList& clips,
                                       const std::vector<int64_t>& positions);

// The bad clips of all ranks.
std::vector<BadClip> gather_bad_clips(World& world, std::vector<BadClip> own);

// Joins `more` to `failed`. A clip that is in both has failed on both sides.
void join_failed(std::vector<BadClip>& failed, const std::vector<BadClip>& more);

// Throws DataError when more of a list's clips failed than loader.max_bad_ratio allows.
void check_failed_share(const std::vector<BadClip>& failed, size_t num_clips, const LoaderOptions& loader);

// "x: reason", or "x (its audio): reason" of a clip of which one side was lost.
std::string to_line(const BadClip& clip);
// [{"id", "reason", "side": "both", "audio" or "video"}]
Json to_json(const std::vector<BadClip>& clips);

}  // namespace cavmae
