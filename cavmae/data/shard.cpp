#include "cavmae/data/shard.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/core/text.h"

namespace cavmae {

Shard::Shard(std::string name, std::vector<TarMember> members, Part part)
    : name_(std::move(name)), part_(std::move(part)) {
  std::ranges::sort(members, {}, &TarMember::name);
  const auto twice = std::ranges::adjacent_find(members, {}, &TarMember::name);
  CAVMAE_CHECK_AS(DataError, twice == members.end(), name_, ": two members are called '",
                  printable(twice->name), "'; a clip's files must have names of their own");
  places_.reserve(members.size());
  for (const TarMember& member : members) {
    places_.push_back({.offset = member.offset, .size = member.size, .name_begin = names_.size()});
    names_ += member.name;
  }
  names_.shrink_to_fit();
}

std::string_view Shard::name_of(size_t i) const {
  const size_t end = i + 1 < places_.size() ? places_[i + 1].name_begin : names_.size();
  return std::string_view(names_).substr(places_[i].name_begin, end - places_[i].name_begin);
}

MediaSource Shard::source(std::string_view member) const {
  size_t begin = 0, end = places_.size();
  while (begin < end) {
    const size_t middle = begin + (end - begin) / 2;
    if (name_of(middle) < member)
      begin = middle + 1;
    else
      end = middle;
  }
  const bool is_there = begin < places_.size() && name_of(begin) == member;
  const Place nowhere{.offset = std::numeric_limits<int64_t>::max(), .size = 0, .name_begin = 0};
  const Place place = is_there ? places_[begin] : nowhere;
  return part_(place.offset, place.size, concat(name_, "/", member));
}

}  // namespace cavmae
