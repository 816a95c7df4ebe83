#include "cavmae/picture/resize.h"

#include <cmath>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/picture/resize_plan.h"
#include "cavmae/tensorfile/safetensors.h"

#include "tests/support/media_tensors.h"

namespace cavmae {
namespace {

const std::string kGoldenPictures = std::string(CAVMAE_TEST_DATA) + "/golden/";

int64_t largest_difference(const torch::Tensor& a, const torch::Tensor& b) {
  return (a.to(torch::kInt64) - b.to(torch::kInt64)).abs().max().item<int64_t>();
}

class ResizeGolden : public testing::TestWithParam<std::string> {};

TEST_P(ResizeGolden, EqualsPillow) {
  const torch::Tensor expected =
      read_safetensors(kGoldenPictures + "images.safetensors").at(GetParam() + ".resized");
  const torch::Tensor image = image_tensor(kGoldenPictures + "media/" + GetParam() + ".png");
  const torch::Tensor actual = resize_shorter_side(image, 224);
  ASSERT_EQ(actual.sizes(), expected.sizes());
  EXPECT_EQ(largest_difference(actual, expected), 0);
}

INSTANTIATE_TEST_SUITE_P(Pictures, ResizeGolden,
                         testing::Values("tall_96x250", "square_224", "up_50x37", "odd_301x227"),
                         [](const auto& picture) {
                           return picture.param.substr(0, picture.param.find('_'));
                         });

// The inverse DCT of libjpeg rounds in its own way: about one sample in 70 differs by 1 before the colours
// are computed, which makes up to 3 of it.
TEST(ResizeGoldenJpeg, IsWithinTwoLevelsOfPillow) {
  const torch::Tensor expected =
      read_safetensors(kGoldenPictures + "images.safetensors").at("photo_640x360.resized");
  const torch::Tensor actual =
      resize_shorter_side(image_tensor(kGoldenPictures + "media/photo_640x360.jpg"), 224);
  ASSERT_EQ(actual.sizes(), expected.sizes());
  const torch::Tensor error = (actual.to(torch::kInt64) - expected.to(torch::kInt64)).abs();
  EXPECT_LE((error > 2).sum().item<int64_t>(), 5) << "of " << error.numel();
  EXPECT_LE(error.max().item<int64_t>(), 3);
  EXPECT_LT(error.to(torch::kFloat64).mean().item<double>(), 0.06);
}

TEST(Resize, CroppedRegionEqualsResizeThenCrop) {
  const std::vector<std::pair<int64_t, int64_t>> sizes = {
      {360, 640}, {641, 357}, {224, 300}, {300, 224}, {17, 31}, {1, 1}, {1, 9}, {9, 1}, {2, 3}, {64, 65}};
  for (const auto& [height, width] : sizes) {
    const torch::Tensor image = random_image(height, width);
    for (const int64_t size : {1, 5, 32, 64, 224}) {
      const torch::Tensor whole = resize_shorter_side(image, size);
      const auto top = static_cast<int64_t>(std::nearbyint(static_cast<double>(whole.size(0) - size) / 2));
      const auto left = static_cast<int64_t>(std::nearbyint(static_cast<double>(whole.size(1) - size) / 2));
      const torch::Tensor expected = whole.slice(0, top, top + size).slice(1, left, left + size);
      EXPECT_TRUE(at::equal(resize_and_crop(image, size), expected))
          << height << "x" << width << " to " << size;
    }
  }
}

TEST(Resize, ShorterSideKeepsTheProportions) {
  EXPECT_THAT(resize_shorter_side(random_image(360, 640), 224).sizes(), testing::ElementsAre(224, 398, 3));
  EXPECT_THAT(resize_shorter_side(random_image(250, 96), 224).sizes(), testing::ElementsAre(583, 224, 3));
}

TEST(Resize, ASinglePixelFillsThePicture) {
  const torch::Tensor image = torch::full({1, 1, 3}, 77, torch::kUInt8);
  EXPECT_TRUE(at::equal(resize_and_crop(image, 16), torch::full({16, 16, 3}, 77, torch::kUInt8)));
}

// The definition of the passes, a pixel at a time.
TEST(ResizeKernels, EveryVersionEqualsThePlainSum) {
  const torch::Tensor image = random_image(23, 41);
  const ResizeTaps taps =
      make_resize_taps({.input_px = 41, .output_px = 19, .first_px = 0, .num_outputs_px = 19});
  torch::Tensor padded = torch::zeros({23, 41 * 3 + kResizeSlack}, torch::kUInt8);
  padded.slice(1, 0, 41 * 3).copy_(image.view({23, 41 * 3}));
  torch::Tensor expected = torch::empty({23, 19, 3}, torch::kUInt8);
  for (int64_t y = 0; y < 23; ++y)
    for (int64_t x = 0; x < 19; ++x)
      for (int64_t c = 0; c < 3; ++c) {
        int64_t sum = 1 << 21;
        for (int64_t t = 0; t < taps.count[static_cast<size_t>(x)]; ++t)
          sum += image[y][taps.first[static_cast<size_t>(x)] + t][c].item<int64_t>() *
                 taps.taps[static_cast<size_t>(x * taps.num_taps + t)];
        expected[y][x][c] = std::clamp<int64_t>(sum >> 22, 0, 255);
      }
  for (const ResizeKernel* kernel : usable_resize_kernels()) {
    torch::Tensor target = torch::zeros({23, 19 * 3 + kResizeSlack}, torch::kUInt8);
    kernel->functions.rows({.taps = &taps,
                            .source = padded.data_ptr<uint8_t>(),
                            .target = target.data_ptr<uint8_t>(),
                            .source_stride = padded.size(1),
                            .target_stride = target.size(1),
                            .num_rows = 23});
    EXPECT_TRUE(at::equal(target.slice(1, 0, 19 * 3).reshape({23, 19, 3}), expected)) << kernel->name;
  }
  const ResizeTaps columns =
      make_resize_taps({.input_px = 23, .output_px = 50, .first_px = 3, .num_outputs_px = 40});
  torch::Tensor first = torch::zeros({40, 41 * 3}, torch::kUInt8),
                second = torch::zeros({40, 41 * 3}, torch::kUInt8);
  ResizePass pass{.taps = &columns,
                  .source = image.data_ptr<uint8_t>(),
                  .target = first.data_ptr<uint8_t>(),
                  .source_stride = 41 * 3,
                  .target_stride = 41 * 3,
                  .row_bytes = 41 * 3};
  resize_columns_baseline(pass);
  pass.target = second.data_ptr<uint8_t>();
  for (const ResizeKernel* kernel : usable_resize_kernels()) {
    kernel->functions.columns(pass);
    EXPECT_TRUE(at::equal(first, second)) << kernel->name;
  }
}

TEST(FitWidth, MakesOnlyWiderPicturesSmaller) {
  const Picture picture = to_picture(random_image(90, 161));
  EXPECT_TRUE(fit_width(picture, 0).shares(picture));
  EXPECT_TRUE(fit_width(picture, 161).shares(picture));
  const auto sizes_of = [](const Picture& fitted) {
    return std::pair(fitted.height_px(), fitted.width_px());
  };
  EXPECT_EQ(sizes_of(fit_width(picture, 0, 2)), std::pair(int64_t{90}, int64_t{162}));
  EXPECT_EQ(sizes_of(fit_width(picture, 80)), std::pair(int64_t{45}, int64_t{80}));
  EXPECT_EQ(sizes_of(fit_width(picture, 80, 2)), std::pair(int64_t{44}, int64_t{80}));
  EXPECT_EQ(sizes_of(fit_width(to_picture(random_image(3, 400)), 100, 2)),
            std::pair(int64_t{2}, int64_t{100}));
  const Picture even = to_picture(torch::full({64, 64, 3}, 9, torch::kUInt8));
  EXPECT_TRUE(to_tensor(fit_width(even, 32, 2)).eq(9).all().item<bool>());
}

TEST(Squares, OfOnePictureThatComesTwiceAreOne) {
  const Picture first = to_picture(random_image(20, 30)), second = to_picture(random_image(20, 30));
  const auto squares = squares_of({first, first, second, first}, 8);
  ASSERT_EQ(squares.size(), 4u);
  EXPECT_TRUE(squares[0].shares(squares[1]));
  EXPECT_FALSE(squares[1].shares(squares[2]));
  EXPECT_FALSE(squares[0].shares(squares[3]));
}

TEST(Resize, RefusesWhatIsNoPicture) {
  EXPECT_THROW(resize_and_crop(Picture(), 4), Error);
  EXPECT_THROW(resize_and_crop(Picture(0, 4), 4), Error);
  EXPECT_THROW(resize_and_crop(Picture(8, 8), 0), Error);
}

}  // namespace
}  // namespace cavmae
