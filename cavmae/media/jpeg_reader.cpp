#include "cavmae/media/jpeg_reader.h"

#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <vector>

#include <fcntl.h>
#include <jpeglib.h>
#include <sys/stat.h>
#include <unistd.h>

namespace cavmae {
namespace {

constexpr off_t kLargestJpegFile = off_t{1} << 28;
constexpr int64_t kMaxJpegPixels = int64_t{1} << 27;  // as of every picture

// The file's bytes when it begins as a JPEG does, else none.
std::vector<unsigned char> read_jpeg_bytes(const std::filesystem::path& path) {
  std::vector<unsigned char> bytes;
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return bytes;
  struct stat status {};
  if (::fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 4 &&
      status.st_size <= kLargestJpegFile) {
    bytes.resize(static_cast<size_t>(status.st_size));
    size_t have = 0;
    while (have < bytes.size()) {
      const ssize_t n = ::read(file, bytes.data() + have, bytes.size() - have);
      if (n <= 0) break;
      have += static_cast<size_t>(n);
      if (have >= 2 && (bytes[0] != 0xff || bytes[1] != 0xd8)) break;
    }
    if (have < bytes.size()) bytes.clear();
  }
  ::close(file);
  return bytes;
}

// libjpeg reports errors by a function that must not return.
struct Failure {
  jpeg_error_mgr manager;
  std::jmp_buf jump;
};

[[noreturn]] void leave(j_common_ptr info) {
  std::longjmp(reinterpret_cast<Failure*>(info->err)->jump, 1);
}
void say_nothing(j_common_ptr) {}

bool is_ordinary(const jpeg_decompress_struct& jpeg) {
  const bool known = (jpeg.jpeg_color_space == JCS_YCbCr && jpeg.num_components == 3) ||
                     (jpeg.jpeg_color_space == JCS_GRAYSCALE && jpeg.num_components == 1);
  return known && int64_t{jpeg.image_width} * jpeg.image_height <= kMaxJpegPixels;
}

// Holds no object with a destructor while libjpeg may jump out of it. `image` is made once the size is known.
bool decode(const std::vector<unsigned char>& bytes, torch::Tensor& image) {
  jpeg_decompress_struct jpeg;
  Failure failure;
  jpeg.err = jpeg_std_error(&failure.manager);
  failure.manager.error_exit = leave;
  failure.manager.output_message = say_nothing;
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
  image = torch::empty({jpeg.output_height, jpeg.output_width, 3}, torch::kUInt8);
  uint8_t* rows = image.data_ptr<uint8_t>();
  while (jpeg.output_scanline < jpeg.output_height) {
    JSAMPROW row = rows + size_t{jpeg.output_scanline} * jpeg.output_width * 3;
    jpeg_read_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_decompress(&jpeg);
  const bool whole = failure.manager.num_warnings == 0;  // a damaged one warns and goes on in grey
  jpeg_destroy_decompress(&jpeg);
  return whole;
}

}  // namespace

std::optional<torch::Tensor> read_jpeg(const std::filesystem::path& path) {
  const std::vector<unsigned char> bytes = read_jpeg_bytes(path);
  torch::Tensor image;
  if (bytes.empty() || !decode(bytes, image)) return std::nullopt;
  return image;
}

}  // namespace cavmae
