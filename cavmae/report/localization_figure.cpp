#include "cavmae/report/localization_figure.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "cavmae/report/figure.h"

namespace cavmae {
namespace {

constexpr size_t kPicturesARow = 5;
constexpr double kSingleSide = 336, kStripSide = 240;  // about this many pixels
constexpr int64_t kSpectrogramHeight = 230, kMinSpectrogramWidth = 760;

// float [rows, columns] -> float [height, width], linear between the middles of the patches
torch::Tensor enlarged(const torch::Tensor& map, int64_t height, int64_t width) {
  return at::upsample_bilinear2d(map.unsqueeze(0).unsqueeze(0), {height, width},
                                 /*align_corners=*/false)[0][0];
}

ColourRange range_of(const torch::Tensor& map) {
  return {map.min().item<double>(), map.max().item<double>()};
}

// The side that shows every pixel of a picture as a whole number of pixels.
int64_t side_of_pictures(const LocalizationFigure& figure) {
  const int64_t side = figure.pictures.front().size(0);
  const double wanted = figure.pictures.size() == 1 ? kSingleSide : kStripSide;
  return side * std::max<int64_t>(1, std::llround(wanted / static_cast<double>(side)));
}

// The pictures as they are, and below them the same with their heat; at most kPicturesARow side by side.
void add_pictures(const LocalizationFigure& figure, Figure& out) {
  const size_t num = figure.pictures.size();
  const int64_t side = side_of_pictures(figure);
  const ColourRange range = range_of(figure.found.in_pictures);  // one scale for all
  for (size_t first = 0; first < num; first += kPicturesARow) {
    std::vector<Panel> plain, heated;
    for (size_t k = first; k < std::min(num, first + kPicturesARow); ++k) {
      const auto index = static_cast<int64_t>(k);
      const torch::Tensor large = fit_picture(figure.pictures[k], side, side);
      const double cosine = figure.found.of_pictures[index].item<double>();
      plain.push_back({.image = large,
                       .width_px = side,
                       .height_px = side,
                       .title = num == 1 ? "the picture" : fmt::format("picture {} of {}", k + 1, num)});
      heated.push_back(
          {.image = laid_over(large, enlarged(figure.found.in_pictures[index], side, side), range),
           .width_px = side,
           .height_px = side,
           .title = fmt::format("where the sound is (whole: {:.2f})", cosine)});
    }
    heated.push_back(colour_scale(range, side, "cosine"));
    if (num == 1) {  // side by side
      plain.insert(plain.end(), heated.begin(), heated.end());
      out.rows.push_back(std::move(plain));
    } else {
      out.rows.push_back(std::move(plain));
      out.rows.push_back(std::move(heated));
    }
  }
}

struct SoundPanels {
  Panel plain, heated;
};

SoundPanels sound_panels(const LocalizationFigure& figure, size_t l, int64_t width,
                         const ColourRange& range) {
  const torch::Tensor& fbank = figure.fbanks[l];
  const int64_t frames = fbank.size(0), bins = fbank.size(1);
  const torch::Tensor heat =
      enlarged(figure.found.in_sounds[static_cast<int64_t>(l)], bins, figure.num_fbank_frames)
          .narrow(1, 0, frames)
          .flip(0);  // low frequencies below
  const torch::Tensor spectrogram = spectrogram_picture(fbank, colour_range(fbank));
  SoundPanels out{.plain = {.image = spectrogram,
                            .width_px = width,
                            .height_px = kSpectrogramHeight,
                            .title = "the sound",
                            .x = time_axis(frames),
                            .y = frequency_axis(bins)},
                  .heated = {}};
  out.heated = out.plain;
  out.heated.image = laid_over(spectrogram, heat, range);
  out.heated.title = "where the picture is in the sound";
  return out;
}

// The sound of all pictures, as wide as those of a row.
void add_sound(const LocalizationFigure& figure, Figure& out) {
  const size_t num = figure.pictures.size();
  const auto columns = static_cast<int64_t>(num == 1 ? 2 : std::min(num, kPicturesARow));
  const int64_t width = std::max(kMinSpectrogramWidth, columns * side_of_pictures(figure));
  const ColourRange range = range_of(figure.found.in_sounds);
  SoundPanels panels = sound_panels(figure, 0, width, range);
  out.rows.push_back({std::move(panels.plain)});
  out.rows.push_back({std::move(panels.heated), colour_scale(range, kSpectrogramHeight, "cosine")});
}

// The sound around each picture, in rows as the pictures'.
void add_segments(const LocalizationFigure& figure, Figure& out) {
  const ColourRange range = range_of(figure.found.in_sounds);  // one scale for all
  for (size_t first = 0; first < figure.fbanks.size(); first += kPicturesARow) {
    std::vector<Panel> plain, heated;
    for (size_t l = first; l < std::min(figure.fbanks.size(), first + kPicturesARow); ++l) {
      SoundPanels panels = sound_panels(figure, l, side_of_pictures(figure), range);
      panels.plain.title = fmt::format("sound around picture {}", l + 1);
      panels.heated.title = "where the picture is in it";
      plain.push_back(std::move(panels.plain));
      heated.push_back(std::move(panels.heated));
    }
    heated.push_back(colour_scale(range, kSpectrogramHeight, "cosine"));
    out.rows.push_back(std::move(plain));
    out.rows.push_back(std::move(heated));
  }
}

}  // namespace

torch::Tensor draw_localization(const LocalizationFigure& figure) {
  Figure out{.title = figure.title};
  add_pictures(figure, out);
  if (figure.fbanks.size() > 1)
    add_segments(figure, out);
  else
    add_sound(figure, out);
  out.notes.emplace_back(
      "Over a picture: the cosine similarity of the whole sound and each patch of the picture. Over the "
      "sound: that of the whole picture and each patch of the sound. The colours run from the lowest to "
      "the highest similarity found, so something is always bright; the numbers of the scale say how much it means.");
  return draw_figure(out);
}

}  // namespace cavmae
