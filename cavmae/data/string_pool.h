// Millions of distinct short texts in one block of memory, numbered in the order in which they came. One
// owner while it grows; then immutable and safe from several threads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cavmae {

class StringPool {
 public:
  // The number of `text`, which is given one when it is new. Throws Error past 2^32 - 2 texts.
  uint32_t add(std::string_view text);
  std::optional<uint32_t> find(std::string_view text) const;
  std::string_view operator[](uint32_t number) const {
    return std::string_view(bytes_).substr(begin_[number], begin_[number + 1] - begin_[number]);
  }
  uint32_t size() const { return static_cast<uint32_t>(begin_.size() - 1); }

  // Gives back what only add() and find() need; neither may follow.
  void freeze();

 private:
  // Where `text` is in the table, or the free place where it belongs.
  size_t place_of(std::string_view text) const;
  void grow();

  std::string bytes_;
  std::vector<uint64_t> begin_ = {0};  // of each text, and the end of the last
  std::vector<uint32_t> table_;        // numbers + 1, open addressing; 0: free
};

}  // namespace cavmae
