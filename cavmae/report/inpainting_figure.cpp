#include "cavmae/report/inpainting_figure.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "cavmae/report/figure.h"

namespace cavmae {
namespace {

constexpr double kPictureSide = 336;  // about this many pixels
constexpr int64_t kSoundWidth = 760, kSoundAloneHeight = 320;

// The side that shows every pixel of a picture as a whole number of pixels.
int64_t shown_side(const torch::Tensor& picture) {
  const int64_t side = picture.size(0);
  return side * std::max<int64_t>(1, std::llround(kPictureSide / static_cast<double>(side)));
}

// One line of the figure: the picture and the sound at one stage.
struct Stage {
  std::string name;
  torch::Tensor picture, fbank;
};

class Layout {
 public:
  explicit Layout(const ShownReconstruction& shown) : has_sound_(shown.rebuilt_fbank.defined()) {
    const torch::Tensor& known = shown.original_fbank.defined() ? shown.original_fbank : shown.rebuilt_fbank;
    if (known.defined()) range_ = colour_range(known);  // all spectrograms have the colours of the original
    if (shown.rebuilt_picture.defined()) side_ = shown_side(shown.rebuilt_picture);
    height_ = side_ > 0 ? side_ : kSoundAloneHeight;
  }

  std::vector<Panel> row(const Stage& stage) const {
    std::vector<Panel> panels;
    if (side_ > 0)
      panels.push_back({.image = stage.picture,
                        .width_px = side_,
                        .height_px = side_,
                        .title = title(stage.name, "picture", stage.picture)});
    if (has_sound_) panels.push_back(sound(stage));
    return panels;
  }

 private:
  Panel sound(const Stage& stage) const {
    Panel panel{
        .width_px = kSoundWidth, .height_px = height_, .title = title(stage.name, "sound", stage.fbank)};
    if (!stage.fbank.defined()) return panel;
    panel.image = spectrogram_picture(stage.fbank, range_);
    panel.x = time_axis(stage.fbank.size(0));
    panel.y = frequency_axis(stage.fbank.size(1));
    return panel;
  }

  static std::string title(const std::string& stage, const char* what, const torch::Tensor& shown) {
    return shown.defined() ? stage : fmt::format("{}: the clip has no {}", stage, what);
  }

  bool has_sound_;
  ColourRange range_;
  int64_t side_ = 0, height_ = 0;
};

bool has_all_originals(const ShownReconstruction& shown) {
  return shown.rebuilt_picture.defined() == shown.original_picture.defined() &&
         shown.rebuilt_fbank.defined() == shown.original_fbank.defined();
}

}  // namespace

std::string reconstruction_note(const ShownReconstruction& shown, const MaskOptions& masks,
                                TargetNormalization targets) {
  const auto hidden = [](double ratio, const char* what) -> std::string {
    if (ratio == 1.0) return fmt::format("all of the {}", what);
    if (ratio == 0.0) return fmt::format("nothing of the {}", what);
    return fmt::format("{:.4g} % of the {}'s patches", 100 * ratio, what);
  };
  std::string note = "Hidden: ";
  if (shown.rebuilt_fbank.defined()) note += hidden(masks.mask_ratio_audio, "sound");
  if (shown.rebuilt_fbank.defined() && shown.rebuilt_picture.defined()) note += " and ";
  if (shown.rebuilt_picture.defined()) note += hidden(masks.mask_ratio_video, "picture");
  note += ". The network sees the rest and fills in what is grey.";
  if (targets == TargetNormalization::none) return note;
  note +=
      " It was trained to predict patches without their mean and contrast, so those of the original "
      "patch are lent to each rebuilt one: brightness is given, structure is predicted.";
  if (!has_all_originals(shown))
    note +=
        " What the clip lacks has no original to lend them: its patches are shown as predicted, around the data's mean.";
  return note;
}

torch::Tensor draw_inpainting(const InpaintingFigure& figure) {
  const ShownReconstruction& shown = figure.shown;
  const Layout layout(shown);
  Figure out{.title = figure.title};
  out.rows.push_back(layout.row({"original", shown.original_picture, shown.original_fbank}));
  out.rows.push_back(layout.row({"what the network sees", shown.masked_picture, shown.masked_fbank}));
  out.rows.push_back(layout.row({"rebuilt", shown.rebuilt_picture, shown.rebuilt_fbank}));
  out.notes.push_back(reconstruction_note(shown, figure.masks, figure.targets));
  return draw_figure(out);
}

}  // namespace cavmae
