// Numbers and texts at places in a source's bytes, for what FFmpeg does not tell of a file. Private to this
// folder; safe from several threads.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include "cavmae/media/media_source.h"

namespace cavmae {

// A stretch of a file that is read piece by piece; what lies beyond its end reads as nothing.
class ByteRegion {
 public:
  explicit ByteRegion(const MediaBytes& source)
      : source_(&source), end_(static_cast<uint64_t>(source.size())) {}
  // The `size` bytes from `at` on, as a file of its own.
  ByteRegion part(uint64_t at, uint64_t size) const {
    ByteRegion out = *this;
    out.begin_ = std::min(begin_ + at, end_);
    out.end_ = std::min(out.begin_ + size, end_);
    return out;
  }

  uint64_t size() const { return end_ - begin_; }
  template <size_t Count>
  std::optional<std::array<unsigned char, Count>> bytes(uint64_t at) const {
    std::array<unsigned char, Count> out;
    if (at > size() || size() - at < Count) return std::nullopt;
    if (source_->read_at(static_cast<int64_t>(begin_ + at), out.data(), Count) != Count) return std::nullopt;
    return out;
  }
  bool holds(uint64_t at, std::string_view text) const {
    std::array<char, 16> found{};
    if (text.size() > found.size() || at > size() || size() - at < text.size()) return false;
    return source_->read_at(static_cast<int64_t>(begin_ + at), found.data(), text.size()) == text.size() &&
           std::memcmp(found.data(), text.data(), text.size()) == 0;
  }
  // An unsigned number of Count bytes; 0 beyond the end.
  template <size_t Count>
  uint64_t number(uint64_t at, bool big_endian) const {
    const auto found = bytes<Count>(at);
    uint64_t value = 0;
    for (size_t i = 0; found && i < Count; ++i) value = value << 8 | (*found)[big_endian ? i : Count - 1 - i];
    return value;
  }

 private:
  const MediaBytes* source_;
  uint64_t begin_ = 0, end_;
};

// The number that a TIFF structure's first directory gives for `tag` (the first one of several), or 0.
uint64_t tiff_tag(const ByteRegion& tiff, uint16_t tag);

}  // namespace cavmae
