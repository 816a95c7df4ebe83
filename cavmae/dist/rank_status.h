// What a rank tells of itself in the store where ranks meet. Private to this folder. Plain values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace cavmae {

enum class RankCondition { runs, failed, abandons, has_left };

struct RankStatus {
  int64_t beat = 0;         // how often it has said so
  int64_t collectives = 0;  // that it has come to
  int64_t arrivals = 0;     // see RankWatch::arrive()
  RankCondition condition = RankCondition::runs;
  std::string what = {};  // it does, or why it abandons
};

std::vector<uint8_t> encoded(const RankStatus& status);
RankStatus decoded(const std::vector<uint8_t>& bytes);

}  // namespace cavmae
