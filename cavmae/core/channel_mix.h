// How one channel is made of several.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace cavmae {

// loudest: at each moment the one that is furthest from 0, which tells whether there is sound at all; no
// option.
enum class ChannelMix { first, mean, loudest };
inline std::vector<std::pair<ChannelMix, std::string>> option_names(ChannelMix) {
  return {{ChannelMix::first, "first"}, {ChannelMix::mean, "mean"}};
}

}  // namespace cavmae
