// One component (red, luma, alpha, ...) of a decoded picture as rows of numbers, whatever its pixel format
// is. Private to this folder; one owner.
#pragma once

#include <cstdint>
#include <vector>

#include "cavmae/media/ffmpeg.h"

namespace cavmae {

class ComponentRows {
 public:
  // `component`: as the format's description numbers them. The frame stays as long as this.
  ComponentRows(const AVFrame& frame, int component);

  int width() const { return width_; }
  int height() const { return height_; }
  float highest() const { return highest_; }  // the number of full red, white, opaque

  // The numbers of row `y`, [width()]; valid until the next call. Of a format in floats they are 65535 times
  // as much, within 0 to 65535.
  const uint16_t* row(int y);

  // Whether the components of this format can be read so: at least 8 bits each, no palette, no Bayer pattern.
  static bool can_read(const AVPixFmtDescriptor& format);

 private:
  template <class Number>
  void copy_plain(const uint8_t* from);
  void copy_floats(const uint8_t* from);

  const AVFrame& frame_;
  const AVPixFmtDescriptor& format_;
  int component_, width_, height_;
  float highest_;
  std::vector<uint16_t> row_;
};

}  // namespace cavmae
