// How one channel is made of several.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace cavmae {

enum class ChannelMix { first, mean };
inline std::vector<std::pair<ChannelMix, std::string>> option_names(ChannelMix) {
  return {{ChannelMix::first, "first"}, {ChannelMix::mean, "mean"}};
}

}  // namespace cavmae
