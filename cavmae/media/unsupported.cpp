#include "cavmae/media/unsupported.h"

#include <algorithm>

#include "cavmae/core/error.h"
#include "cavmae/media/byte_region.h"
#include "cavmae/media/ffmpeg.h"

namespace cavmae {
namespace {

// The brand that a file of boxes begins with, or the first compatible one that says more than "mif1" (HEIF in
// general).
std::string heif_kind(const ByteRegion& file) {
  constexpr uint64_t kMostBrands = 32;
  if (!file.holds(4, "ftyp")) return {};
  const uint64_t end = std::min(file.number<4>(0, true), 16 + 4 * kMostBrands);
  bool is_heif = false;
  for (uint64_t at = 8; at + 4 <= end; at += at == 8 ? 8 : 4) {  // after the first one comes its version
    for (const char* brand : {"heic", "heix", "heim", "heis", "hevc", "hevx"})
      if (file.holds(at, brand)) return "is a HEIC picture";
    for (const char* brand : {"avif", "avis"})
      if (file.holds(at, brand)) return "is an AVIF picture of an unusual kind";
    for (const char* brand : {"mif1", "msf1"}) is_heif = is_heif || file.holds(at, brand);
  }
  return is_heif ? "is a HEIF picture" : "";
}

constexpr uint16_t kBits = 258, kCompression = 259, kTileWidth = 322, kSampleFormat = 339,
                   kDngVersion = 50706;

std::string misread_tiff(const ByteRegion& file) {
  constexpr uint64_t kOldJpeg = 6, kJpeg = 7, kSigned = 2, kFloat = 3;
  const uint64_t compression = tiff_tag(file, kCompression), format = tiff_tag(file, kSampleFormat);
  const bool is_dng = tiff_tag(file, kDngVersion) != 0;  // whose JPEG FFmpeg does read
  if (!is_dng && (compression == kOldJpeg || compression == kJpeg))
    return "is a TIFF picture with JPEG inside";
  if (format == kFloat) return "is a TIFF picture in floating point";
  return format == kSigned ? "is a TIFF picture in signed numbers" : "";
}

std::string tiff_kind(const ByteRegion& file) {
  if (std::string misread = misread_tiff(file); !misread.empty()) return misread;
  const uint64_t compression = tiff_tag(file, kCompression), bits = tiff_tag(file, kBits);
  if (tiff_tag(file, kTileWidth) != 0) return "is a TIFF picture in tiles";
  if (bits > 16) return concat("is a TIFF picture with ", bits, " bits a sample");
  // None, CCITT's, LZW, deflate in two numbers, and PackBits.
  for (const uint64_t known : {1, 2, 3, 4, 5, 8, 32946, 32773})
    if (compression == known) return {};
  return compression != 0 ? concat("is a TIFF picture with compression ", compression) : std::string();
}

bool is_animated_webp(const ByteRegion& file) {
  constexpr uint64_t kAnimated = 2;
  return file.holds(0, "RIFF") && file.holds(8, "WEBPVP8X") && (file.number<1>(20, true) & kAnimated) != 0;
}

}  // namespace

std::string unsupported_kind(const MediaBytes& bytes) {
  const ByteRegion file(bytes);
  if (is_animated_webp(file)) return "is an animated WebP";
  const std::string kind = heif_kind(file);
  return kind.empty() ? tiff_kind(file) : kind;
}

std::string misread_kind(const MediaBytes& bytes) {
  return misread_tiff(ByteRegion(bytes));
}

bool is_unsupported(int error) {
  return error == AVERROR_PATCHWELCOME || error == AVERROR_DECODER_NOT_FOUND || error == AVERROR(ENOSYS);
}

std::string cannot_read() {
  return concat("which this FFmpeg (", av_version_info(), ") cannot read; convert it to JPEG or PNG");
}

}  // namespace cavmae
