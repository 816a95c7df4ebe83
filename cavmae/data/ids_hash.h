// Tells lists of clips apart. A free function; safe from any thread.
#pragma once

#include <string>

#include <fmt/format.h>

#include "cavmae/core/text.h"
#include "cavmae/data/clip_list.h"

namespace cavmae {

// 16 hex digits of the clips' ids in their order.
inline std::string hash_of_ids(const ClipList& clips) {
  uint64_t hash = stable_hash("");
  for (size_t i = 0; i < clips.size(); ++i) hash = stable_hash("\n", stable_hash(clips.id(i), hash));
  return fmt::format("{:016x}", hash);
}

}  // namespace cavmae
