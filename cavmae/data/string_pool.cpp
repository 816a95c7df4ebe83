#include "cavmae/data/string_pool.h"

#include <functional>
#include <limits>

#include "cavmae/core/error.h"

namespace cavmae {

size_t StringPool::place_of(std::string_view text) const {
  const size_t mask = table_.size() - 1;
  size_t place = std::hash<std::string_view>()(text) & mask;
  while (table_[place] != 0 && (*this)[table_[place] - 1] != text) place = (place + 1) & mask;
  return place;
}

void StringPool::grow() {
  constexpr size_t kSmallest = 16;
  table_.assign(table_.empty() ? kSmallest : 2 * table_.size(), 0);
  for (uint32_t number = 0; number < size(); ++number) table_[place_of((*this)[number])] = number + 1;
}

uint32_t StringPool::add(std::string_view text) {
  if (3 * table_.size() <= 4 * static_cast<size_t>(size())) grow();
  uint32_t& entry = table_[place_of(text)];
  if (entry != 0) return entry - 1;
  CAVMAE_CHECK(size() < std::numeric_limits<uint32_t>::max() - 1, "more than ", size(), " texts");
  bytes_ += text;
  begin_.push_back(bytes_.size());
  entry = size();
  return entry - 1;
}

std::optional<uint32_t> StringPool::find(std::string_view text) const {
  if (table_.empty()) return std::nullopt;
  const uint32_t entry = table_[place_of(text)];
  return entry == 0 ? std::nullopt : std::optional(entry - 1);
}

void StringPool::freeze() {
  table_ = {};
  bytes_.shrink_to_fit();
  begin_.shrink_to_fit();
}

}  // namespace cavmae
