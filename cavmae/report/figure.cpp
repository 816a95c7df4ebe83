#include "cavmae/report/figure.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include <fmt/format.h>

#include "cavmae/core/error.h"
#include "cavmae/core/text.h"
#include "cavmae/features/mel_bank.h"
#include "cavmae/report/typeface.h"

namespace cavmae {
namespace {

constexpr int64_t kMargin = 24, kGap = 20;
constexpr int64_t kTitleSize = 19, kPanelSize = 14, kTickSize = 12, kNoteSize = 13;
constexpr int64_t kTitleLine = 34, kPanelLine = 22, kNoteLine = 19;
constexpr int64_t kTickLength = 5, kTickLabels = 18, kAxisTitle = 18, kYLabels = 44;
constexpr int64_t kScaleWidth = 14;
constexpr int64_t kMinWidth = 480;
constexpr uint8_t kPaper = 255, kInk = 60;
constexpr TextStyle kTitleStyle = {.size_px = kTitleSize};
constexpr TextStyle kPanelStyle = {.size_px = kPanelSize};
constexpr TextStyle kNoteStyle = {.size_px = kNoteSize, .colour = {75, 80, 90}};
constexpr TextStyle kTickStyle = {.size_px = kTickSize, .colour = {75, 80, 90}, .anchor = TextAnchor::middle};

// The room that a panel takes, and its image's place in it.
struct Room {
  int64_t left = 0, above = 0, width = 0, height = 0;
};

Room room_of(const Panel& panel) {
  Room room;
  const int64_t beside = panel.y.ticks.empty() ? 0 : kYLabels;
  room.left = panel.y_side == AxisSide::left ? beside : 0;
  room.above = panel.title.empty() && panel.y.title.empty() ? 0 : kPanelLine;
  room.width = panel.width_px + beside;
  room.height = room.above + panel.height_px;
  if (!panel.x.ticks.empty()) room.height += kTickLength + kTickLabels;
  if (!panel.x.title.empty()) room.height += kAxisTitle;
  return room;
}

struct Size {
  int64_t height = 0, width = 0;
};

Size size_of(const std::vector<Panel>& row) {
  Size size;
  for (const Panel& panel : row) {
    const Room room = room_of(panel);
    size.width += room.width + (size.width > 0 ? kGap : 0);
    size.height = std::max(size.height, room.height);
  }
  return size;
}

// What does not fit into a width ends in dots.
std::string shortened(Typeface& typeface, const std::string& text, int64_t size_px, int64_t width_px) {
  if (typeface.width_px(text, size_px) <= width_px) return text;
  std::string cut = text;
  while (!cut.empty() && typeface.width_px(cut + "…", size_px) > width_px) {
    do cut.pop_back();
    while (!cut.empty() && (static_cast<unsigned char>(cut.back()) & 0xC0) == 0x80);
  }
  return cut + "…";
}

std::vector<std::string> wrapped(Typeface& typeface, const std::string& text, int64_t width_px) {
  std::vector<std::string> lines;
  for (const std::string& word : split(text, ' ')) {
    const bool fits = !lines.empty() && typeface.width_px(lines.back() + " " + word, kNoteSize) <= width_px;
    if (fits)
      lines.back() += " " + word;
    else
      lines.push_back(word);
  }
  return lines;
}

class Page {
 public:
  Page(const Size& size, Typeface& typeface)
      : pixels_(torch::full({size.height, size.width, 3}, kPaper, torch::kUInt8)), typeface_(typeface) {}

  void text(const std::string& words, const TextPlace& place, const TextStyle& style) {
    typeface_.draw(pixels_, words, place, style);
  }
  void panel(const Panel& panel, int64_t x, int64_t y);
  torch::Tensor pixels() const { return pixels_; }

 private:
  void box(int64_t x, int64_t y, int64_t width, int64_t height) {
    pixels_.narrow(0, y, height).narrow(1, x, width).fill_(kInk);
  }
  void x_axis(const Panel& panel, int64_t left, int64_t bottom);
  void y_axis(const Panel& panel, int64_t left, int64_t top);

  torch::Tensor pixels_;  // uint8 [H, W, 3]
  Typeface& typeface_;
};

void Page::x_axis(const Panel& panel, int64_t left, int64_t bottom) {
  for (const Tick& tick : panel.x.ticks) {
    const int64_t x = left + std::llround(tick.position * static_cast<double>(panel.width_px - 1));
    box(x, bottom, 1, kTickLength);
    text(tick.text, {.x = x, .baseline = bottom + kTickLength + kTickSize + 1}, kTickStyle);
  }
  const int64_t labels = panel.x.ticks.empty() ? 0 : kTickLength + kTickLabels;
  text(panel.x.title, {.x = left + panel.width_px / 2, .baseline = bottom + labels + kTickSize}, kTickStyle);
}

void Page::y_axis(const Panel& panel, int64_t left, int64_t top) {
  const bool on_left = panel.y_side == AxisSide::left;
  const int64_t edge = on_left ? left - kTickLength : left + panel.width_px;
  TextStyle style = kTickStyle;
  style.anchor = on_left ? TextAnchor::right : TextAnchor::left;
  const int64_t label = on_left ? edge - 3 : edge + kTickLength + 3;
  for (const Tick& tick : panel.y.ticks) {
    const int64_t y = top + std::llround((1 - tick.position) * static_cast<double>(panel.height_px - 1));
    box(edge, y, kTickLength, 1);
    text(tick.text, {.x = label, .baseline = y + kTickSize * 3 / 8}, style);
  }
  text(panel.y.title, {.x = label, .baseline = top - 8}, style);
}

void Page::panel(const Panel& panel, int64_t x, int64_t y) {
  const Room room = room_of(panel);
  const int64_t left = x + room.left, top = y + room.above;
  text(shortened(typeface_, panel.title, kPanelSize, panel.width_px), {.x = left, .baseline = top - 8},
       kPanelStyle);
  if (!panel.image.defined()) return;
  pixels_.narrow(0, top, panel.height_px)
      .narrow(1, left, panel.width_px)
      .copy_(fit_picture(panel.image, panel.height_px, panel.width_px));
  x_axis(panel, left, top + panel.height_px);
  y_axis(panel, left, top);
}

std::string short_number(double value) {
  std::string text = fmt::format("{:.2f}", value);
  return text == "-0.00" ? "0.00" : text;
}

}  // namespace

torch::Tensor draw_figure(const Figure& figure) {
  Typeface typeface;
  Size size{.height = 2 * kMargin + kTitleLine, .width = kMinWidth};
  for (const auto& row : figure.rows) {
    const Size of_row = size_of(row);
    size.width = std::max(size.width, of_row.width);
    size.height += of_row.height + kGap;
  }
  std::vector<std::string> lines;
  for (const std::string& note : figure.notes)
    for (std::string& line : wrapped(typeface, note, size.width)) lines.push_back(std::move(line));
  size.height += static_cast<int64_t>(lines.size()) * kNoteLine;
  size.width += 2 * kMargin;

  Page page(size, typeface);
  page.text(shortened(typeface, figure.title, kTitleSize, size.width - 2 * kMargin),
            {.x = kMargin, .baseline = kMargin + kTitleSize - 3}, kTitleStyle);
  int64_t y = kMargin + kTitleLine;
  for (const auto& row : figure.rows) {
    int64_t x = kMargin;
    for (const Panel& panel : row) {
      page.panel(panel, x, y);
      x += room_of(panel).width + kGap;
    }
    y += size_of(row).height + kGap;
  }
  for (const std::string& line : lines) {
    page.text(line, {.x = kMargin, .baseline = y + kNoteSize - 2}, kNoteStyle);
    y += kNoteLine;
  }
  return page.pixels();
}

torch::Tensor fit_picture(const torch::Tensor& image, int64_t height_px, int64_t width_px) {
  CAVMAE_CHECK(image.dim() == 3 && image.size(2) == 3, "a picture must be [h, w, 3], found ", image.sizes());
  const torch::Tensor planes = image.permute({2, 0, 1}).to(torch::kCPU, torch::kFloat32);  // [3, h, w]
  return at::adaptive_avg_pool2d(planes, {height_px, width_px}).round().to(torch::kUInt8).permute({1, 2, 0});
}

Axis time_axis(int64_t frames) {
  constexpr double kMaxTicks = 12;
  constexpr double kFrameSeconds = 0.01;
  const double seconds = static_cast<double>(frames) * kFrameSeconds;
  double step = 0.01;
  for (const double factor : {1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 3000.0, 6000.0,
                              12000.0, 30000.0, 60000.0}) {
    step = 0.01 * factor;
    if (seconds / step < kMaxTicks) break;
  }
  Axis axis{.title = "time in seconds"};
  for (int64_t i = 0; static_cast<double>(i) * step <= seconds * (1 + 1e-9); ++i) {
    const double at = static_cast<double>(i) * step;
    axis.ticks.push_back({.position = at / seconds, .text = fmt::format("{:g}", at)});
  }
  return axis;
}

Axis frequency_axis(int64_t num_mel_bins) {
  constexpr double kTicksHz[] = {250, 500, 1000, 2000, 4000, 7000};
  Axis axis{.title = "kHz"};
  for (const double hz : kTicksHz) {
    const double from_below = mel_bin_at(hz, {.num_mel_bins = num_mel_bins}) + 0.5;  // in bins
    axis.ticks.push_back(
        {.position = from_below / static_cast<double>(num_mel_bins), .text = fmt::format("{:g}", hz / 1000)});
  }
  return axis;
}

Panel colour_scale(const ColourRange& range, int64_t height_px, const std::string& title) {
  const torch::Tensor ramp = at::linspace(range.high, range.low, height_px, torch::kFloat32).unsqueeze(1);
  return {.image = coloured(ramp, range),
          .width_px = kScaleWidth,
          .height_px = height_px,
          .y = {.title = title,
                .ticks = {{0.0, short_number(range.low)},
                          {0.5, short_number((range.low + range.high) / 2)},
                          {1.0, short_number(range.high)}}},
          .y_side = AxisSide::right};
}

}  // namespace cavmae
