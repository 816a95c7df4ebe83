#include "cavmae/media/chunk_ends.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "cavmae/media/file_end.h"
#include "cavmae/media/number_at.h"

namespace cavmae {
namespace {

constexpr int64_t kMostChunks = 20'000'000;  // that are walked over

// "00dc", "01wb", "ix00": a stream's number and what of it there is; and what stands between them.
bool is_avi_chunk(const MediaIo& io, int64_t at) {
  constexpr std::array<std::string_view, 5> kOthers = {"LIST", "JUNK", "idx1", "ix", "rec "};
  constexpr std::array<std::string_view, 5> kOfStreams = {"dc", "db", "wb", "tx", "pc"};
  return std::any_of(kOthers.begin(), kOthers.end(),
                     [&](std::string_view name) { return io.holds(at, name); }) ||
         std::any_of(kOfStreams.begin(), kOfStreams.end(),
                     [&](std::string_view name) { return io.holds(at + 2, name); });
}

}  // namespace

// Lists whose size is not known are entered, and so is the one of the packets.
bool avi_chunks_end_early(const MediaIo& io) {
  int64_t at = 12;
  for (int64_t i = 0; i < kMostChunks && is_avi_chunk(io, at); ++i) {
    const int64_t size = number_at(io, at + 4, 4, std::endian::little);
    if (size == kUnknownNumber) return true;
    if (io.holds(at, "LIST") && (io.holds(at + 8, "movi") || io.holds(at + 8, "rec "))) {
      at += 12;
      continue;
    }
    at += 8 + size + size % 2;
    if (at > io.size() + 1) return true;
  }
  constexpr int64_t kChunkHeader = 8;
  return at < io.size() && io.size() - at < kChunkHeader;
}

bool caf_ends_early(const MediaIo& io) {
  for (int64_t at = 8; at + 12 <= io.size();) {
    const int64_t size = number_at(io, at + 4, 8, std::endian::big);
    const bool is_unfilled = size <= 0 || size >= INT64_MAX / 2;  // -1: to the end of the file
    if (io.holds(at, "data")) return !is_unfilled && size > io.size() - at - 12;
    if (is_unfilled) return false;
    at += 12 + std::min(size, io.size());
  }
  return false;
}

// A chunk's name and size are 24 bytes and part of the size.
bool w64_ends_early(const MediaIo& io) {
  for (int64_t at = 40; at + 24 <= io.size();) {
    const int64_t size = number_at(io, at + 16, 8, std::endian::little);
    if (size <= 24 || size >= INT64_MAX / 2) return false;
    if (io.holds(at, "data")) return size > io.size() - at;
    at += (std::min(size, io.size()) + 7) / 8 * 8;
  }
  return false;
}

bool voc_ends_early(const MediaIo& io) {
  constexpr int64_t kLastKind = 9;
  int64_t at = number_at(io, 20, 2, std::endian::little);
  for (int64_t i = 0; i < kMostChunks && at < io.size(); ++i) {
    const int64_t kind = number_at(io, at, 1, std::endian::little);
    if (kind <= 0 || kind > kLastKind) return false;
    const int64_t size = number_at(io, at + 1, 3, std::endian::little);
    if (size == kUnknownNumber) return true;
    at += 4 + size;
    if (at > io.size()) return true;
  }
  return false;
}

bool wavpack_ends_early(const MediaIo& io) {
  int64_t at = 0;
  for (int64_t i = 0; i < kMostChunks && io.holds(at, "wvpk"); ++i) {
    const int64_t size = number_at(io, at + 4, 4, std::endian::little);
    if (size == kUnknownNumber || size > io.size() - at - 8) return true;
    at += 8 + size;
  }
  return false;
}

}  // namespace cavmae
