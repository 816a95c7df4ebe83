// One chroma plane of a YUV picture at every pixel, interpolated between its samples. Private to
// this folder; one owner.
#pragma once

#include <array>
#include <vector>

#include "cavmae/media/component_rows.h"
#include "cavmae/media/ffmpeg.h"

namespace cavmae {

class ChromaPlane {
 public:
  // `component`: 1 or 2. `scale`: of the samples around 0. The frame stays as long as this.
  ChromaPlane(const AVFrame& frame, int component, float scale);

  // Row `y` of the picture; out: [width of the picture].
  void fill(int y, float* out);

 private:
  // The four samples around a place in a row or column, and how much each counts.
  struct Taps {
    std::array<int, 4> at{};
    std::array<float, 4> weight{};
  };
  static Taps taps_of(int pixel, int shift, float offset, int count);

  const std::vector<float>& sample_row(int y);
  void widen(const std::vector<float>& row, float* out) const;

  struct Kept {
    int y = -1;
    std::vector<float> row;
  };

  ComponentRows samples_;
  float scale_, zero_;
  int shift_x_, shift_y_;
  float offset_y_;
  std::vector<Taps> columns_;  // of the picture
  std::vector<float> blended_;
  std::array<Kept, 4> kept_;  // the last of each remainder by 4
};

}  // namespace cavmae
