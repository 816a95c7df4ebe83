// What is hidden of a clip to be rebuilt, and whether the rest is enough to do it. Free functions; safe from
// any thread.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cavmae/data/clip.h"
#include "cavmae/models/cav_mae_config.h"
#include "cavmae/nn/masking.h"

namespace cavmae {

// parts: of both modalities. audio, video: all of that one, which is then rebuilt from the other.
enum class Hide { parts, audio, video };
inline std::vector<std::pair<Hide, std::string>> option_names(Hide) {
  return {{Hide::parts, "parts"}, {Hide::audio, "audio"}, {Hide::video, "video"}};
}

// What a user's masks change: those of the training to hide parts, else nothing hidden.
MaskOptions masks_before_user(Hide hide, const MaskOptions& trained);
// With all of that modality hidden. Throws ConfigError when the masks hide another share of it, or are none.
MaskOptions hide_wholly(Hide hide, MaskOptions masks);

// Throws ConfigError when everything is hidden, or nothing; MediaError when the clip lacks what is to be
// seen.
void check_inpainting(const std::string& clip_id, const Sample& sample, const CavMaeConfig& config,
                      const MaskOptions& masks);

}  // namespace cavmae
