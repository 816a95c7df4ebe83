#include "cavmae/media/file_end.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <string_view>
#include <vector>

#include "cavmae/media/chunk_ends.h"
#include "cavmae/media/number_at.h"
#include "cavmae/media/transport_stream.h"

namespace cavmae {
namespace {

constexpr int64_t kUnknown = kUnknownNumber;
constexpr int64_t kMostElements = 20'000'000;  // that are walked over

bool is_box_name(int64_t name) {
  for (int shift = 0; shift < 32; shift += 8) {
    const auto letter = static_cast<unsigned char>(name >> shift);
    if (std::isprint(letter) == 0 && letter != 0xa9) return false;
  }
  return true;
}

// A number of EBML: its length in bits before the first one that is set. `keep_marker`: of an element's name.
struct EbmlNumber {
  int64_t value = kUnknown;
  int length = 0;
};
EbmlNumber ebml_number(const MediaIo& io, int64_t offset, bool keep_marker) {
  const int64_t first = number_at(io, offset, 1, std::endian::big);
  if (first <= 0) return {};
  const int length = std::countl_zero(static_cast<uint8_t>(first)) + 1;
  int64_t value = number_at(io, offset, length, std::endian::big);
  if (value == kUnknown) return {};
  if (keep_marker) return {value, length};
  const int64_t all_ones = (int64_t{1} << (7 * length)) - 1;
  value &= all_ones;
  return {value == all_ones ? kUnknown : value, length};  // all ones: until the parent ends
}

// What stands in a file, a segment or a cluster; anything else is no longer Matroska.
bool is_matroska_element(int64_t id) {
  constexpr std::array<int64_t, 19> kElements = {
      0x1a45dfa3, 0x18538067, 0x1f43b675, 0x1c53bb6b, 0x1254c367, 0x114d9b74, 0x1549a966,  // EBML ... Info
      0x1654ae6b, 0x1941a469, 0x1043a770, 0xec,       0xbf,       0xe7,       0xa3,        // Tracks ... block
      0xa0,       0xab,       0xa7,       0x5854,     0xaf};
  return std::find(kElements.begin(), kElements.end(), id) != kElements.end();
}

// Elements of a known size are passed over, the others entered.
bool matroska_ends_early(const MediaIo& io) {
  int64_t at = 0;
  for (int64_t i = 0; i < kMostElements && at < io.size(); ++i) {
    const EbmlNumber id = ebml_number(io, at, /*keep_marker=*/true);
    if (!is_matroska_element(id.value)) return false;
    const EbmlNumber size = ebml_number(io, at + id.length, /*keep_marker=*/false);
    if (size.length == 0) return true;
    at += id.length + size.length;
    if (size.value == kUnknown) continue;
    if (size.value > io.size() - at) return true;
    at += size.value;
  }
  return false;
}

bool riff_ends_early(const MediaIo& io) {
  for (int64_t at = 0; io.holds(at, "RIFF");) {
    const int64_t size = number_at(io, at + 4, 4, std::endian::little);
    if (size <= 0 || size >= kUnfilledBytes) return avi_chunks_end_early(io);
    at += 8 + size + size % 2;
    if (at > io.size() + 1) return true;
  }
  return false;
}

// The last page of an Ogg file is whole when all that its table of segments says is there.
bool ogg_ends_early(const MediaIo& io) {
  constexpr int64_t kLargestPage = 27 + 255 + 255 * 255;
  const int64_t from = std::max<int64_t>(0, io.size() - kLargestPage);
  std::vector<char> tail(static_cast<size_t>(io.size() - from));
  tail.resize(io.read_at(from, tail.data(), tail.size()));
  const size_t page = std::string_view(tail.data(), tail.size()).rfind("OggS");
  if (page == std::string_view::npos) return false;
  if (tail.size() < page + 27) return true;
  const auto segments = static_cast<uint8_t>(tail[page + 26]);
  if (tail.size() < page + 27 + segments) return true;
  size_t size = 27 + segments;
  for (size_t i = 0; i < segments; ++i) size += static_cast<uint8_t>(tail[page + 27 + i]);
  return page + size > tail.size();
}

// Passes over a GIF's blocks of up to 255 bytes; kUnknown where they do not end.
int64_t after_gif_blocks(const MediaIo& io, int64_t at) {
  while (true) {
    const int64_t size = number_at(io, at, 1, std::endian::little);
    if (size == kUnknown) return kUnknown;
    at += 1 + size;
    if (size == 0) return at;
  }
}

int64_t gif_colours_bytes(int64_t flags) {
  return flags >= 0 && (flags & 0x80) != 0 ? int64_t{6} << (flags & 7) : 0;
}

bool gif_ends_early(const MediaIo& io) {
  int64_t at = 13 + gif_colours_bytes(number_at(io, 10, 1, std::endian::little));
  while (at != kUnknown) {
    const int64_t kind = number_at(io, at, 1, std::endian::little);
    if (kind == 0x3b) return false;
    if (kind == 0x21) {
      at = after_gif_blocks(io, at + 2);
    } else if (kind == 0x2c) {
      at = after_gif_blocks(io, at + 11 + gif_colours_bytes(number_at(io, at + 9, 1, std::endian::little)));
    } else {
      return kind == kUnknown && at > io.size();  // complete but for its last byte, or followed by anything
    }
  }
  return true;
}

bool flv_ends_early(const MediaIo& io) {
  int64_t at = number_at(io, 5, 4, std::endian::big) + 4;
  for (int64_t i = 0; i < kMostElements && at < io.size(); ++i) {
    const int64_t kind = number_at(io, at, 1, std::endian::big) & 0x1f;
    if (kind != 8 && kind != 9 && kind != 18) return false;  // sound, pictures, data
    const int64_t size = number_at(io, at + 1, 3, std::endian::big);
    if (size == kUnknown) return true;
    at += 11 + size;
    if (at > io.size()) return true;
    at += 4;
  }
  return false;
}

// The first four bytes of the identifiers of an ASF file's objects: header, data, simple index, index, media
// index, time code index. Behind a data object whose size was never filled in stand its packets.
bool is_asf_object(int64_t identifier) {
  constexpr std::array<int64_t, 6> kObjects = {0x3026b275, 0x3626b275, 0x90080033,
                                               0xd329e2d6, 0xf803b1fe, 0xd03fb73c};
  return std::find(kObjects.begin(), kObjects.end(), identifier) != kObjects.end();
}

bool asf_ends_early(const MediaIo& io) {
  for (int64_t at = 0; is_asf_object(number_at(io, at, 4, std::endian::big));) {
    const int64_t size = number_at(io, at + 16, 8, std::endian::little);
    if (size < 24 || size >= INT64_MAX / 2) return false;
    at += size;
    if (at > io.size()) return true;
  }
  return false;
}

}  // namespace

Mp4Structure mp4_structure(const MediaIo& io) {
  Mp4Structure found;
  int64_t at = 0;
  for (int64_t i = 0; i < kMostElements && at + 8 <= io.size(); ++i) {
    int64_t size = number_at(io, at, 4, std::endian::big);
    const int64_t name = number_at(io, at + 4, 4, std::endian::big);
    if (!is_box_name(name)) return found;
    if (name == 0x6d6f6f66) found.has_fragments = true;  // moof
    if (size == 1) size = number_at(io, at + 8, 8, std::endian::big);
    if (size < 8) return found;  // 0: to the end of the file
    if (size > io.size() - at) {
      const bool is_content =
          name == 0x6d646174 || name == 0x6d6f6f66 || name == 0x6d6f6f76;  // mdat, moof, moov
      found.is_cut_off = is_content;
      return found;
    }
    at += size;
  }
  return found;
}

bool has_second_matroska(const MediaIo& io) {
  constexpr int64_t kHeader = 0x1a45dfa3, kSegment = 0x18538067;
  int64_t at = 0;
  for (const int64_t expected : {kHeader, kSegment}) {
    const EbmlNumber id = ebml_number(io, at, /*keep_marker=*/true);
    const EbmlNumber size = ebml_number(io, at + id.length, /*keep_marker=*/false);
    if (id.value != expected || size.value == kUnknown || size.value > io.size() - at) return false;
    at += id.length + size.length + size.value;
  }
  return ebml_number(io, at, /*keep_marker=*/true).value == kHeader;
}

std::optional<WavData> wav_data(const MediaIo& io) {
  const bool is_long = io.holds(0, "RF64") || io.holds(0, "BW64");
  if (!(is_long || io.holds(0, "RIFF")) || !io.holds(8, "WAVE")) return std::nullopt;
  int64_t long_bytes = 0;
  for (int64_t at = 12; at + 8 <= io.size();) {
    int64_t size = number_at(io, at + 4, 4, std::endian::little);
    if (io.holds(at, "ds64")) long_bytes = number_at(io, at + 16, 8, std::endian::little);
    if (!io.holds(at, "data")) {
      at += 8 + size + size % 2;
      continue;
    }
    const int64_t left = io.size() - at - 8;
    if (is_long && size == 0xffffffff) size = std::max<int64_t>(long_bytes, 0);
    if (!is_long && size >= kUnfilledBytes && size > left) size = 0;
    return WavData{.position_bytes = at + 8,
                   .declared_bytes = size,
                   .present_bytes = size > 0 ? std::min(size, left) : left};
  }
  return std::nullopt;
}

bool ends_early(const MediaIo& io, const char* format) {
  const std::string_view name = format;
  if (name == "mov,mp4,m4a,3gp,3g2,mj2") return mp4_structure(io).is_cut_off;
  if (name == "matroska,webm") return matroska_ends_early(io);
  if (name == "avi") return riff_ends_early(io);
  if (name == "ogg") return ogg_ends_early(io);
  if (name == "gif") return gif_ends_early(io);
  if (name == "flv") return flv_ends_early(io);
  if (name == "asf") return asf_ends_early(io);
  if (name == "caf") return caf_ends_early(io);
  if (name == "w64") return w64_ends_early(io);
  if (name == "voc") return voc_ends_early(io);
  if (name == "wv") return wavpack_ends_early(io);
  if (name == "mpegts") return !ends_with_a_transport_packet(io);
  if (name == "wav") {
    const auto data = wav_data(io);
    return data && data->present_bytes < data->declared_bytes;
  }
  return false;
}

}  // namespace cavmae
