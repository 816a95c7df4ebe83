// A data set as tar shards (shard.h): each clip a sample of its files, or of its sound and prepared pictures.
// A free function; one job a folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/data/clip.h"

namespace cavmae {

// What takes the place of a clip's own files: one window of its sound and pictures of it, spread evenly.
struct PreparedPictures {
  int64_t num_frames = 10;
  int64_t shorter_side_px = 256;
  int64_t sample_rate_hz = 16000;  // of the sound, 16-bit and of one channel
  double window_seconds = 10.0;    // the middle of a longer clip, unless its list pins it
  int jpeg_quality = 95;
};

struct PackOptions {
  int64_t shard_bytes = 1'000'000'000;                     // a shard is closed when it has as many
  std::optional<PreparedPictures> prepare = std::nullopt;  // nothing: the clips' files as they are
  int64_t num_workers = 2;                                 // threads that prepare
  double max_bad_ratio = 0.1;
  double clip_timeout = 600.0;  // seconds that preparing a clip may take, else it is a bad one; 0: any time
  bool show_progress = true;
};

struct PackResult {
  int64_t clips = 0, shards = 0, bytes = 0;
  std::vector<BadClip> failed;
};

// Writes OUT/shard-000000.tar ..., an index beside each, and OUT/shards.json with the counts. The bytes
// depend on clips and options alone. A shard gets its name when it is whole and each of its members was found
// where the index says; a job that was stopped goes on behind the last one. Every clip keeps its id, labels
// and times. Throws ConfigError when the folder holds shards of other clips or options, DataError past
// max_bad_ratio.
PackResult pack_clips(const ClipList& clips, const std::filesystem::path& out, const PackOptions& options,
                      std::shared_ptr<Log> log);

}  // namespace cavmae
