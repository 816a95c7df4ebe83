#include "cavmae/dist/rank_status.h"

#include <charconv>

#include "cavmae/core/error.h"

namespace cavmae {

std::vector<uint8_t> encoded(const RankStatus& status) {
  const std::string text = concat(status.beat, '\n', status.collectives, '\n', status.arrivals, '\n',
                                  static_cast<int>(status.condition), '\n', status.what);
  return {text.begin(), text.end()};
}

RankStatus decoded(const std::vector<uint8_t>& bytes) {
  const std::string text(bytes.begin(), bytes.end());
  RankStatus status;
  const char* next = text.data();
  const char* const end = next + text.size();
  int condition = 0;
  const auto number = [&](auto& value) {
    next = std::from_chars(next, end, value).ptr;
    if (next < end) ++next;
  };
  number(status.beat);
  number(status.collectives);
  number(status.arrivals);
  number(condition);
  status.condition = static_cast<RankCondition>(condition);
  status.what.assign(next, end);
  return status;
}

}  // namespace cavmae
