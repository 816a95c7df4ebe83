// Pictures on plain memory. A value type whose copies share their pixels.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>

namespace cavmae {

// uint8 [H, W, 3], RGB, rows without gaps; or no picture. Behind the last pixel lie kSlackBytes bytes, zeros
// at first, that kernels may read and write.
class Picture {
 public:
  static constexpr int64_t kSlackBytes = 16;

  Picture() = default;
  // Not filled.
  Picture(int64_t height_px, int64_t width_px)
      : height_px_(height_px),
        width_px_(width_px),
        pixels_(std::make_shared_for_overwrite<uint8_t[]>(static_cast<size_t>(num_bytes() + kSlackBytes))) {
    std::fill_n(pixels_.get() + num_bytes(), kSlackBytes, uint8_t{0});
  }

  bool is_there() const { return pixels_ != nullptr; }
  int64_t height_px() const { return height_px_; }
  int64_t width_px() const { return width_px_; }
  int64_t row_bytes() const { return 3 * width_px_; }
  int64_t num_bytes() const { return height_px_ * row_bytes(); }

  const uint8_t* pixels() const { return pixels_.get(); }
  uint8_t* pixels() { return pixels_.get(); }
  // Keeps the pixels for as long as it lives.
  const std::shared_ptr<uint8_t[]>& memory() const { return pixels_; }
  // Whether both are one picture, not only alike.
  bool shares(const Picture& other) const { return pixels_ == other.pixels_; }

 private:
  int64_t height_px_ = 0, width_px_ = 0;
  std::shared_ptr<uint8_t[]> pixels_;
};

}  // namespace cavmae
