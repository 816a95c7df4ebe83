// What is drawn for a clip, each from a sequence of its own, so that one choice never shifts another. The
// seed is the clip's: the loader mixes it from run seed, epoch and clip id.
#pragma once

#include <cstdint>

#include "cavmae/core/random.h"

namespace cavmae {

enum class Draw : uint64_t { window = 1, frame, noise, roll, masks, mixup, mixup_partner };

inline Random random_for(uint64_t seed, Draw draw) {
  return Random({seed, static_cast<uint64_t>(draw)});
}

}  // namespace cavmae
