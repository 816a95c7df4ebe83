#include "cavmae/report/figure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/report/inpainting_figure.h"
#include "cavmae/report/localization_figure.h"
#include "cavmae/report/typeface.h"

namespace cavmae {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

torch::Tensor paper(int64_t height, int64_t width) {
  return torch::full({height, width, 3}, 255, torch::kUInt8);
}

// Columns or rows that hold ink: the first and the last.
std::pair<int64_t, int64_t> extent(const torch::Tensor& image, int64_t dimension) {
  const torch::Tensor inked = image.lt(200).any(2).any(1 - dimension).nonzero();
  return {inked[0].item<int64_t>(), inked[-1].item<int64_t>()};
}

TEST(Typeface, PutsTextWhereItIsAsked) {
  Typeface typeface;
  const int64_t width = typeface.width_px("Hill", 40);
  for (const auto& [anchor, left] :
       {std::pair{TextAnchor::left, int64_t{100}}, std::pair{TextAnchor::middle, 100 - width / 2},
        std::pair{TextAnchor::right, 100 - width}}) {
    torch::Tensor image = paper(80, 300);
    typeface.draw(image, "Hill", {.x = 100, .baseline = 60}, {.size_px = 40, .anchor = anchor});
    const auto [first, last] = extent(image, 1);
    EXPECT_NEAR(first, left, 6);
    EXPECT_NEAR(last, left + width, 6);
    const auto [top, bottom] = extent(image, 0);
    EXPECT_NEAR(bottom, 59, 1) << "no letter goes below the line";
    EXPECT_GT(bottom - top, 25);
  }
}

TEST(Typeface, KnowsLettersOfSeveralBytesAndSurvivesOthers) {
  Typeface typeface;
  EXPECT_LT(typeface.width_px("é", 20), typeface.width_px("ee", 20)) << "one letter, not two";
  EXPECT_GT(typeface.width_px("Вълк", 20), 20);
  torch::Tensor image = paper(30, 60);
  for (const char* text : {"\xff\xfe", "\xc3", "a\xe2\x82", "\xf0\x9f\x8e\xb5", ""})
    EXPECT_NO_THROW(typeface.draw(image, text, {.x = 50, .baseline = 2}, {})) << "also past the edges";
  torch::Tensor floats = torch::zeros({3, 3, 3});
  EXPECT_THROW(typeface.draw(floats, "a", {}, {}), Error);
}

TEST(FitPicture, RepeatsWholePixelsAndAveragesMany) {
  const torch::Tensor image = (at::arange(2 * 3 * 3) * 10).view({2, 3, 3}).to(torch::kUInt8);
  const torch::Tensor large = fit_picture(image, 4, 9);
  EXPECT_TRUE(large.equal(image.repeat_interleave(2, 0).repeat_interleave(3, 1)));
  EXPECT_TRUE(fit_picture(large, 2, 3).equal(image));
  EXPECT_THROW(fit_picture(torch::zeros({2, 2}), 4, 4), Error);
}

TEST(Axes, TicksAreRoundAndFew) {
  for (const int64_t frames : {30, 200, 400, 1024, 6000, 100000}) {
    const Axis axis = time_axis(frames);
    EXPECT_GE(axis.ticks.size(), 3u) << frames;
    EXPECT_LE(axis.ticks.size(), 13u) << frames;
    for (const Tick& tick : axis.ticks)
      EXPECT_NEAR(std::stod(tick.text), tick.position * static_cast<double>(frames) / 100, 1e-6);
  }
}

TEST(Axes, FrequenciesStandAtTheirMelBins) {
  const Axis axis = frequency_axis(128);
  double last = 0;
  for (const Tick& tick : axis.ticks) {
    EXPECT_GT(tick.position, last);
    EXPECT_LT(tick.position, 1);
    last = tick.position;
    // mel(f) = 1127 ln(1 + f / 700), from 20 Hz to 8 kHz over 129 steps; bin m has its middle at step m + 1.
    const auto mel = [](double hz) { return 1127 * std::log(1 + hz / 700); };
    const double step = (mel(8000) - mel(20)) / 129;
    const double bin = (mel(1000 * std::stod(tick.text)) - mel(20)) / step - 1;
    EXPECT_NEAR(tick.position * 128, bin + 0.5, 1e-6);
  }
}

TEST(DrawFigure, HoldsEveryPanelUnalteredAndKeepsTheRestOnPaper) {
  const torch::Tensor red = torch::zeros({10, 10, 3}, torch::kUInt8),
                      blue = torch::zeros({10, 10, 3}, torch::kUInt8);
  red.select(2, 0).fill_(255);
  blue.select(2, 2).fill_(255);
  Figure figure{.title = std::string(500, 'M'),
                .rows = {},
                .notes = {std::string(40, 'x') + " " + std::string(400, 'y')}};
  figure.rows.push_back(
      {{.image = red, .width_px = 150, .height_px = 30, .title = "red", .x = time_axis(100)},
       {.image = blue, .width_px = 20, .height_px = 40, .y = frequency_axis(64)}});
  figure.rows.push_back({{.image = {}, .width_px = 20, .height_px = 20, .title = "nothing here"},
                         colour_scale({-0.5, 0.25}, 60, "cosine")});
  const torch::Tensor image = draw_figure(figure);
  const auto count = [&](int64_t r, int64_t g, int64_t b) {
    return image.eq(torch::tensor({r, g, b}, torch::kUInt8)).all(2).sum().item<int64_t>();
  };
  EXPECT_EQ(count(255, 0, 0), 150 * 30);
  EXPECT_EQ(count(0, 0, 255), 20 * 40);
  EXPECT_GT(count(255, 255, 255), image.size(0) * image.size(1) / 2);
  EXPECT_TRUE(image.narrow(1, 0, 20).eq(255).all().item<bool>()) << "a margin";
}

ShownReconstruction sample_reconstruction_tensors() {
  ShownReconstruction shown;
  shown.original_picture = shown.masked_picture = shown.rebuilt_picture =
      torch::full({32, 32, 3}, 90, torch::kUInt8);
  shown.original_fbank = shown.masked_fbank = shown.rebuilt_fbank = torch::rand({60, 32});
  return shown;
}

TEST(InpaintingFigure, SaysWhatIsLentByTheOriginal) {
  const ShownReconstruction shown = sample_reconstruction_tensors();
  const MaskOptions masks{.mask_ratio_audio = 1, .mask_ratio_video = 0.75};
  EXPECT_THAT(reconstruction_note(shown, masks, TargetNormalization::per_patch),
              AllOf(HasSubstr("all of the sound and 75 % of the picture's patches"),
                    HasSubstr("those of the original patch are lent"), Not(HasSubstr("lacks"))));
  EXPECT_THAT(reconstruction_note(shown, masks, TargetNormalization::none), Not(HasSubstr("lent")));
  ShownReconstruction blind = shown;
  blind.original_picture = blind.masked_picture = torch::Tensor();
  EXPECT_THAT(reconstruction_note(blind, masks, TargetNormalization::per_patch),
              HasSubstr("What the clip lacks"));
  const torch::Tensor all = draw_inpainting({.title = "clip", .shown = shown, .masks = masks});
  EXPECT_EQ(draw_inpainting({.title = "clip", .shown = blind, .masks = masks}).size(1), all.size(1));
  ShownReconstruction sound_alone;
  sound_alone.original_fbank = sound_alone.masked_fbank = sound_alone.rebuilt_fbank = torch::rand({60, 32});
  EXPECT_LT(draw_inpainting({.title = "clip", .shown = sound_alone, .masks = masks}).size(1), all.size(1));
}

TEST(LaidOver, ShinesWhereTheHeatIs) {
  torch::Tensor heat = torch::zeros({8, 8});
  heat[2][5] = 1;
  const torch::Tensor image = laid_over(torch::full({8, 8, 3}, 100, torch::kUInt8), heat, {0, 1});
  EXPECT_EQ(image.to(torch::kInt64).sum(2).argmax().item<int64_t>(), 2 * 8 + 5);
  EXPECT_THROW(laid_over(torch::zeros({8, 8, 3}, torch::kUInt8), torch::zeros({4, 4}), {}), Error);
}

TEST(LocalizationFigure, GrowsByRowsOfFivePictures) {
  const auto draw = [](int64_t num, int64_t sounds) {
    LocalizationFigure figure{
        .title = "clip",
        .pictures =
            std::vector<torch::Tensor>(static_cast<size_t>(num), torch::full({32, 32, 3}, 90, torch::kUInt8)),
        .fbanks = std::vector<torch::Tensor>(static_cast<size_t>(sounds), torch::rand({50, 32})),
        .num_fbank_frames = 64,
        .found = {.in_pictures = torch::rand({num, 2, 2}),
                  .in_sounds = torch::rand({sounds, 2, 4}),
                  .of_pictures = torch::rand({num})}};
    return draw_localization(figure);
  };
  const torch::Tensor one = draw(1, 1), five = draw(5, 1), ten = draw(10, 1), segments = draw(10, 10);
  EXPECT_GT(five.size(1), one.size(1));
  EXPECT_EQ(ten.size(1), five.size(1));
  EXPECT_GT(ten.size(0), five.size(0));
  EXPECT_GT(segments.size(0), ten.size(0));
}

}  // namespace
}  // namespace cavmae
