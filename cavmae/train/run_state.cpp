#include "cavmae/train/run_state.h"

#include <fmt/format.h>

#include "cavmae/core/text.h"

namespace cavmae {

DataFingerprint fingerprint(const std::vector<ClipSource>& clips) {
  uint64_t hash = stable_hash("");
  for (const ClipSource& clip : clips) hash = stable_hash(clip.id + '\n', hash);
  return {.clips = static_cast<int64_t>(clips.size()), .hash = fmt::format("{:016x}", hash)};
}

}  // namespace cavmae
