#include "cavmae/dist/rank_agreement.h"

#include <algorithm>

#include "cavmae/core/error.h"
#include "cavmae/core/json_text.h"

namespace cavmae {

std::vector<Json> gather_when_all_are_here(World& world, const Json& own) {
  world.wait_for_all();
  std::vector<Json> all;
  for (const std::string& text : gather_texts(world, to_text(own)))
    all.push_back(parse_json(text, concat("rank ", all.size())));
  return all;
}

std::string first_difference(const Json& first, const Json& other, int64_t rank,
                             std::span<const std::string_view> of_each_rank) {
  for (const auto& [name, value] : first.items()) {
    if (std::ranges::find(of_each_rank, name) != of_each_rank.end()) continue;
    const Json theirs = other.contains(name) ? other[name] : Json();
    if (value == theirs) continue;
    if (value.is_object() && theirs.is_object()) {
      const std::string inside = first_difference(value, theirs, rank, of_each_rank);
      if (!inside.empty()) return inside;
      continue;
    }
    return concat(name, " is ", to_text(value), " on rank 0, ", to_text(theirs), " on rank ", rank);
  }
  return "";
}

std::string clips_difference(const Json& first, const Json& other, int64_t rank, const std::string& does) {
  constexpr const char* kCure = "; --data has to name the same clips in the same order on every host";
  if (first["clips"] != other["clips"])
    return concat("rank 0 ", does, " ", to_text(first["clips"]), " clips, rank ", rank, " ", does, " ",
                  to_text(other["clips"]), kCure);
  if (first["hash"] != other["hash"])
    return concat("rank 0 ", does, " as many clips as rank ", rank, ", but other ones or in another order",
                  kCure);
  return "";
}

}  // namespace cavmae
