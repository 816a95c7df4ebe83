#include "cavmae/features/image_transform.h"

#include <string>

#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/tensorfile/safetensors.h"

#include "tests/support/media_tensors.h"

namespace cavmae {
namespace {

const std::string kGolden = std::string(CAVMAE_TEST_DATA) + "/golden/";

TEST(ImageTransform, ModelInputMatchesTorchvision) {
  // Stored as a place in a table of each channel's values.
  const TensorFile golden = read_safetensors(kGolden + "images.safetensors");
  const torch::Tensor codes = golden.at("odd_301x227.input_codes").to(torch::kInt64);  // [3, 224, 224]
  const torch::Tensor expected =
      golden.at("odd_301x227.input_values").gather(1, codes.flatten(1)).view(codes.sizes());
  const torch::Tensor image = image_tensor(kGolden + "media/odd_301x227.png");
  const torch::Tensor actual = normalize_image(resize_and_crop(image, 224));
  EXPECT_LT((actual - expected).abs().max().item<float>(), 1e-6f);
}

TEST(NormalizeImage, IsUndoneByDenormalize) {
  const torch::Tensor image = random_image(37, 29);
  EXPECT_TRUE(at::equal(denormalize_image(normalize_image(image)), image));
}

TEST(ImageTransform, RefusesWhatIsNoPicture) {
  EXPECT_THROW(normalize_image(torch::zeros({8, 8, 3})), Error);
}

TEST(MediaTensors, ArePicturesOfAnyStrides) {
  const torch::Tensor image = random_image(50, 70);
  const Picture picture = to_picture(image.transpose(0, 1));
  EXPECT_EQ(picture.height_px(), 70);
  EXPECT_TRUE(at::equal(to_tensor(picture), image.transpose(0, 1)));
  EXPECT_FALSE(to_tensor(Picture()).defined());
}

TEST(MediaTensors, LiveLongerThanTheirPictures) {
  torch::Tensor image;
  {
    const Picture picture = to_picture(torch::full({4, 5, 3}, 7, torch::kUInt8));
    image = to_tensor(picture);
  }
  EXPECT_TRUE(image.eq(7).all().item<bool>());
  EXPECT_TRUE(at::equal(to_tensor(std::vector<float>{1.0f, 2.0f}), torch::tensor({1.0f, 2.0f})));
}

TEST(MediaTensors, RefuseOtherShapesAndTypes) {
  EXPECT_THROW(to_picture(torch::zeros({3, 8, 8}, torch::kUInt8)), Error);
  EXPECT_THROW(to_picture(torch::zeros({8, 8, 3})), Error);
  EXPECT_THROW(to_picture(torch::Tensor()), Error);
  EXPECT_THROW(to_waveform(torch::zeros({2, 100})), Error);
}

}  // namespace
}  // namespace cavmae
