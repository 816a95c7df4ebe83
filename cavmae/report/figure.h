// A picture for people: panels in rows, with titles, axes and notes, as one image. Free functions; safe from
// several threads.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cavmae/core/torch.h"
#include "cavmae/report/colour_map.h"

namespace cavmae {

struct Tick {
  double position = 0;  // 0 to 1, from the left or from below
  std::string text;
};

enum class AxisSide { left, right };

struct Axis {
  std::string title = {};
  std::vector<Tick> ticks = {};  // none: the axis is not drawn
};

struct Panel {
  torch::Tensor image =
      {};  // uint8 [h, w, 3], enlarged or averaged to the size below; undefined: an empty panel
  int64_t width_px = 0, height_px = 0;
  std::string title = {};
  Axis x = {}, y = {};
  AxisSide y_side = AxisSide::left;
};

struct Figure {
  std::string title;
  std::vector<std::vector<Panel>> rows = {};
  std::vector<std::string> notes = {};  // below; long ones are wrapped
};

// uint8 [H, W, 3]
torch::Tensor draw_figure(const Figure& figure);

// uint8 [h, w, 3] -> uint8 [height, width, 3]: whole pixels are repeated, or averaged where there are more of
// them than places.
torch::Tensor fit_picture(const torch::Tensor& image, int64_t height_px, int64_t width_px);

// At round seconds, for `frames` of 10 ms.
Axis time_axis(int64_t frames);
// In kHz along the mel scale.
Axis frequency_axis(int64_t num_mel_bins);

// A strip of all colours beside the panels of its row, with the numbers at its ends and in the middle.
Panel colour_scale(const ColourRange& range, int64_t height_px, const std::string& title);

}  // namespace cavmae
