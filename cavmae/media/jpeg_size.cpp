#include "cavmae/media/jpeg_size.h"

#include <array>

namespace cavmae {
namespace {

// Markers of frames: 0xc0 to 0xcf but for those of tables (0xc4, 0xcc) and the reserved one (0xc8).
bool begins_frame(uint8_t marker) {
  return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}

}  // namespace

std::optional<JpegSize> jpeg_size(const MediaBytes& source) {
  std::array<uint8_t, 9> bytes{};  // marker (2), length (2), precision, height (2), width (2)
  if (source.read_at(0, bytes.data(), 2) != 2 || bytes[0] != 0xff || bytes[1] != 0xd8) return std::nullopt;
  constexpr int kMaxSegments = 1000;
  int64_t at = 2;
  for (int i = 0; i < kMaxSegments; ++i) {
    if (source.read_at(at, bytes.data(), bytes.size()) != bytes.size() || bytes[0] != 0xff)
      return std::nullopt;
    const auto two = [&](size_t first) { return int64_t{bytes[first]} << 8 | bytes[first + 1]; };
    if (begins_frame(bytes[1])) return JpegSize{.width = two(7), .height = two(5)};
    at += bytes[1] == 0xff ? 1 : 2 + two(2);  // 0xff may fill the place before a marker
  }
  return std::nullopt;
}

}  // namespace cavmae
