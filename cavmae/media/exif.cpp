#include <iterator>
#include <string_view>

#include "cavmae/media/byte_region.h"
#include "cavmae/media/orientation.h"

namespace cavmae {
namespace {

constexpr uint16_t kOrientationTag = 274;
constexpr uint64_t kMaxExifBytes = 1 << 20;
constexpr int kMaxParts = 10000;  // segments or chunks of a file that are looked through

// EXIF data may begin with the letters that they begin with in a JPEG.
uint64_t orientation_of_exif(const ByteRegion& exif) {
  constexpr std::string_view kPrefix("Exif\0\0", 6);
  const uint64_t skipped = exif.holds(0, kPrefix) ? kPrefix.size() : 0;
  return tiff_tag(exif.part(skipped, kMaxExifBytes), kOrientationTag);
}

uint64_t jpeg_orientation(const ByteRegion& file) {
  uint64_t at = 2;
  for (int i = 0; i < kMaxParts; ++i) {
    const auto marker = file.bytes<4>(at);
    if (!marker || (*marker)[0] != 0xff) return 0;
    const unsigned code = (*marker)[1];
    if (code == 0xff) {  // a filling byte
      ++at;
      continue;
    }
    const uint64_t length = file.number<2>(at + 2, true);
    if (code == 0xda || code == 0xd9 || length < 2) return 0;  // the picture itself, or the end
    if (code == 0xe1 && file.holds(at + 4, std::string_view("Exif\0", 5)))
      return orientation_of_exif(file.part(at + 4, length - 2));
    at += 2 + length;
  }
  return 0;
}

uint64_t png_orientation(const ByteRegion& file) {
  uint64_t at = 8;
  for (int i = 0; i < kMaxParts && at + 12 <= file.size(); ++i) {
    const uint64_t length = file.number<4>(at, true);
    if (file.holds(at + 4, "eXIf")) return orientation_of_exif(file.part(at + 8, length));
    if (file.holds(at + 4, "IEND")) return 0;
    at += 12 + length;
  }
  return 0;
}

uint64_t webp_orientation(const ByteRegion& file) {
  uint64_t at = 12;
  for (int i = 0; i < kMaxParts && at + 8 <= file.size(); ++i) {
    const uint64_t length = file.number<4>(at + 4, false);
    if (file.holds(at, "EXIF")) return orientation_of_exif(file.part(at + 8, length));
    at += 8 + length + length % 2;
  }
  return 0;
}

}  // namespace

Orientation exif_orientation(const MediaBytes& source) {
  const ByteRegion file(source);
  uint64_t number = 0;
  if (file.holds(0, "\xff\xd8\xff"))
    number = jpeg_orientation(file);
  else if (file.holds(0, "\x89PNG\r\n\x1a\n"))
    number = png_orientation(file);
  else if (file.holds(0, "RIFF") && file.holds(8, "WEBP"))
    number = webp_orientation(file);
  else
    number = tiff_tag(file, kOrientationTag);
  // From 1 on; turned are those from 5 on (EXIF 2.3, tag 274).
  constexpr Orientation kOrientations[] = {
      {},
      {.flip_horizontal = true},
      {.flip_horizontal = true, .flip_vertical = true},
      {.flip_vertical = true},
      {.transpose = true},
      {.transpose = true, .flip_horizontal = true},
      {.transpose = true, .flip_horizontal = true, .flip_vertical = true},
      {.transpose = true, .flip_vertical = true}};
  return number >= 1 && number <= std::size(kOrientations) ? kOrientations[number - 1] : Orientation{};
}

}  // namespace cavmae
