// Whole numbers within a source. Private to this folder.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "cavmae/media/media_io.h"

namespace cavmae {

inline constexpr int64_t kUnknownNumber = -1;

// The unsigned number of `count` bytes (at most 8) at `offset`; kUnknownNumber past the end.
inline int64_t number_at(const MediaIo& io, int64_t offset, int count, std::endian order) {
  std::array<uint8_t, 8> bytes{};
  if (io.read_at(offset, bytes.data(), static_cast<size_t>(count)) != static_cast<size_t>(count))
    return kUnknownNumber;
  uint64_t value = 0;
  for (int i = 0; i < count; ++i) value = value << 8 | bytes[order == std::endian::big ? i : count - 1 - i];
  return static_cast<int64_t>(value & INT64_MAX);
}

}  // namespace cavmae
