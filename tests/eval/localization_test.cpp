#include "cavmae/eval/localization.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"

#include "tests/eval/tiny_model.h"

namespace cavmae {
namespace {

double cosine_by_hand(const torch::Tensor& a, const torch::Tensor& b) {
  double product = 0, of_a = 0, of_b = 0;
  for (int64_t i = 0; i < a.size(0); ++i) {
    const double x = a[i].item<float>(), y = b[i].item<float>();
    product += x * y, of_a += x * x, of_b += y * y;
  }
  return product / std::sqrt(of_a * of_b);
}

struct Clip {
  torch::Tensor audio, video;

  Clip() {
    torch::manual_seed(8);
    audio = torch::randn({64, 32});
    video = torch::randn({3, 3, 32, 32});
  }
};

// Global tokens and registers are no patches and no part of the whole.
class LocalizationOf : public ::testing::TestWithParam<bool> {};

TEST_P(LocalizationOf, ComparesEachPatchWithTheWholeOfTheOther) {
  CavMaeConfig config = testing::tiny_config();
  config.global_tokens = GetParam();
  config.registers = GetParam() ? 3 : 0;
  CavMae model = testing::tiny_model(config);
  const Clip clip;
  const Localization found = localize(model, clip.audio, clip.video);
  ASSERT_EQ(found.in_pictures.sizes(), (std::vector<int64_t>{3, 2, 2}));
  ASSERT_EQ(found.in_sounds.sizes(), (std::vector<int64_t>{1, 2, 4}));

  torch::NoGradGuard no_grad;
  const torch::Tensor sound = model->encode({.audio = clip.audio.unsqueeze(0), .video = {}}).audio[0];
  torch::Tensor of_all_pictures = torch::zeros({24});
  for (int64_t k = 0; k < 3; ++k) {  // one picture after another
    const torch::Tensor tokens = model->encode({.audio = {}, .video = clip.video.narrow(0, k, 1)}).video[0];
    of_all_pictures += tokens.mean(0) / 3;
    EXPECT_NEAR(found.of_pictures[k].item<float>(), cosine_by_hand(tokens.mean(0), sound.mean(0)), 1e-5);
    for (int64_t row = 0; row < 2; ++row)
      for (int64_t column = 0; column < 2; ++column)
        EXPECT_NEAR(found.in_pictures[k][row][column].item<float>(),
                    cosine_by_hand(tokens[row * 2 + column], sound.mean(0)), 1e-5);
  }
  for (int64_t row = 0; row < 2; ++row)  // of frequency, low first
    for (int64_t column = 0; column < 4; ++column)
      EXPECT_NEAR(found.in_sounds[0][row][column].item<float>(),
                  cosine_by_hand(sound[row * 4 + column], of_all_pictures), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(NetworksWithLearnedTokens, LocalizationOf, ::testing::Bool());

TEST(Localization, APictureIsComparedForItselfAndTheSoundWithAllOfThem) {
  CavMae model = testing::tiny_model();
  const Clip clip;
  const Localization one = localize(model, clip.audio, clip.video.narrow(0, 1, 1));
  const Localization three = localize(model, clip.audio, clip.video);
  EXPECT_TRUE(one.in_pictures[0].allclose(three.in_pictures[1], 1e-4, 1e-6));
  EXPECT_FALSE(one.in_sounds.allclose(three.in_sounds, 1e-4, 1e-6)) << "the other pictures count, too";
  EXPECT_FALSE(one.in_pictures.requires_grad());
}

TEST(Localization, ComparesAPictureWithTheSoundAroundIt) {
  CavMae model = testing::tiny_model();
  const Clip clip;
  const torch::Tensor segments = torch::stack({clip.audio, clip.audio.flip(0), 2 * clip.audio});
  const Localization found = localize(model, segments, clip.video);
  ASSERT_EQ(found.in_sounds.sizes(), (std::vector<int64_t>{3, 2, 4}));
  for (int64_t k = 0; k < 3; ++k) {
    const Localization one = localize(model, segments[k], clip.video.narrow(0, k, 1));
    EXPECT_TRUE(found.in_pictures[k].allclose(one.in_pictures[0], 1e-4, 1e-6));
    EXPECT_TRUE(found.in_sounds[k].allclose(one.in_sounds[0], 1e-4, 1e-6));
    EXPECT_NEAR(found.of_pictures[k].item<float>(), one.of_pictures[0].item<float>(), 1e-5);
  }
  EXPECT_EQ(to_json(found)["audio"].size(), 3u);
  EXPECT_EQ(to_json(found)["audio"][0]["patches"].size(), 2u);
}

TEST(Localization, NeedsOutputsOfEachModalityAlone) {
  CavMaeConfig config = testing::tiny_config();
  config.joint_streams = JointStreams::concat;
  CavMae model = testing::tiny_model(config);
  const Clip clip;
  EXPECT_THAT([&] { localize(model, clip.audio, clip.video); },
              ::testing::ThrowsMessage<ConfigError>(::testing::HasSubstr("contrastive loss")));
}

}  // namespace
}  // namespace cavmae
