#include "cavmae/media/jpeg_reader.h"

#include <algorithm>
#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <vector>

#include <jerror.h>
#include <jpeglib.h>

#include "cavmae/core/error.h"
#include "cavmae/media/limits.h"

namespace cavmae {
namespace {

constexpr int64_t kLargestJpegBytes = int64_t{1} << 28;
constexpr size_t kFirstRead = 256 * 1024;  // most pictures whole; of other media not much

// The source's bytes when it begins as a JPEG does, else none.
std::vector<unsigned char> read_jpeg_bytes(const MediaBytes& source) {
  const int64_t size = source.size();
  if (size <= 4 || size > kLargestJpegBytes) return {};
  std::vector<unsigned char> bytes(std::min(static_cast<size_t>(size), kFirstRead));
  const size_t first = source.read_at(0, bytes.data(), bytes.size());
  if (first != bytes.size() || bytes[0] != 0xff || bytes[1] != 0xd8) return {};
  bytes.resize(static_cast<size_t>(size));
  const size_t rest = bytes.size() - first;
  if (rest > 0 && source.read_at(static_cast<int64_t>(first), bytes.data() + first, rest) != rest) return {};
  return bytes;
}

// libjpeg reports errors by a function that must not return, and damage by another, after which it goes on in
// grey.
struct Failure {
  jpeg_error_mgr manager;
  std::jmp_buf jump;
  char damage[JMSG_LENGTH_MAX];  // the first, as libjpeg says it; empty: none
};

[[noreturn]] void leave(j_common_ptr info) {
  std::longjmp(reinterpret_cast<Failure*>(info->err)->jump, 1);
}
void say_nothing(j_common_ptr) {}

// Bytes that are left over before the end are common and do no harm, as are headers that disagree about
// versions, and a last marker that is missing once all data were there: where they were not, there is another
// message.
bool is_damage(const jpeg_error_mgr& manager, bool progressive) {
  switch (manager.msg_code) {
    case JWRN_ADOBE_XFORM:
    case JWRN_BOGUS_PROGRESSION:
    case JWRN_JFIF_MAJOR:
      return false;
    case JWRN_JPEG_EOF:
      return progressive;
    case JWRN_EXTRANEOUS_DATA:
      return manager.msg_parm.i[1] != JPEG_EOI;
    default:
      return true;
  }
}

void note(j_common_ptr info, int level) {
  auto& failure = *reinterpret_cast<Failure*>(info->err);
  const bool progressive = reinterpret_cast<j_decompress_ptr>(info)->progressive_mode != FALSE;
  if (level >= 0 || failure.damage[0] != '\0' || !is_damage(failure.manager, progressive)) return;
  failure.manager.format_message(info, failure.damage);
}

bool is_ordinary(const jpeg_decompress_struct& jpeg) {
  const bool known = (jpeg.jpeg_color_space == JCS_YCbCr && jpeg.num_components == 3) ||
                     (jpeg.jpeg_color_space == JCS_GRAYSCALE && jpeg.num_components == 1);
  return known && int64_t{jpeg.image_width} * jpeg.image_height <= kMaxPixels;
}

// False when it is none of ours. Holds no object with a destructor while libjpeg may jump out of it.
// `picture` is made once the size is known.
bool decode(const std::vector<unsigned char>& bytes, Picture& picture, Failure& failure) {
  jpeg_decompress_struct jpeg;
  jpeg.err = jpeg_std_error(&failure.manager);
  failure.manager.error_exit = leave;
  failure.manager.output_message = say_nothing;
  failure.manager.emit_message = note;
  failure.damage[0] = '\0';
  if (setjmp(failure.jump) != 0) {
    jpeg_destroy_decompress(&jpeg);
    return false;
  }
  jpeg_create_decompress(&jpeg);
  jpeg_mem_src(&jpeg, bytes.data(), bytes.size());
  jpeg_read_header(&jpeg, TRUE);
  if (!is_ordinary(jpeg)) {
    jpeg_destroy_decompress(&jpeg);
    return false;
  }
  jpeg.out_color_space = JCS_RGB;
  jpeg.dct_method = JDCT_ISLOW;
  jpeg_start_decompress(&jpeg);
  picture = Picture(jpeg.output_height, jpeg.output_width);
  while (jpeg.output_scanline < jpeg.output_height) {
    JSAMPROW row = picture.pixels() + int64_t{jpeg.output_scanline} * picture.row_bytes();
    jpeg_read_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_decompress(&jpeg);
  jpeg_destroy_decompress(&jpeg);
  return true;
}

}  // namespace

std::optional<Picture> read_jpeg(const MediaBytes& source, const std::string& name) {
  const std::vector<unsigned char> bytes = read_jpeg_bytes(source);
  Picture picture;
  Failure failure;
  if (bytes.empty() || !decode(bytes, picture, failure)) return std::nullopt;
  CAVMAE_CHECK_AS(MediaError, failure.damage[0] == '\0', "'", name, "' is cut off or damaged (",
                  static_cast<const char*>(failure.damage), "); copy or download it again");
  return picture;
}

}  // namespace cavmae
