#include "cavmae/eval/inpainting_masks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"

#include "tests/support/temporary_folder.h"

namespace cavmae {
namespace {

using ::testing::HasSubstr;

TEST(InpaintingMasks, AWholeModalityIsHiddenAndNothingOfTheOther) {
  const MaskOptions trained{.mask_ratio_audio = 0.75, .mask_ratio_video = 0.5};
  const MaskOptions video = hide_wholly(Hide::video, masks_before_user(Hide::video, trained));
  EXPECT_EQ(video.mask_ratio_audio, 0);
  EXPECT_EQ(video.mask_ratio_video, 1);
  const MaskOptions parts = hide_wholly(Hide::parts, masks_before_user(Hide::parts, trained));
  EXPECT_EQ(parts.mask_ratio_audio, 0.75);
  EXPECT_EQ(parts.mask_ratio_video, 0.5);
  EXPECT_THAT(message_from<ConfigError>([&] { hide_wholly(Hide::audio, trained); }),
              HasSubstr("--mask-ratio-audio 0.75 contradicts it"));
}

TEST(InpaintingMasks, WhatCannotBeRebuiltIsTold) {
  const Sample sound{.audio = torch::zeros({4, 4}), .video = {}};
  const auto refusal = [&](const MaskOptions& masks) {
    return message_from<Error>([&] { check_inpainting("clip", sound, CavMaeConfig{}, masks); });
  };
  EXPECT_THAT(refusal({.mask_ratio_audio = 1, .mask_ratio_video = 1}), HasSubstr("everything is hidden"));
  EXPECT_THAT(refusal({.mask_ratio_audio = 0, .mask_ratio_video = 0}), HasSubstr("nothing is hidden"));
  EXPECT_THAT(refusal({.mask_ratio_audio = 0.5, .mask_ratio_video = 0.5}), HasSubstr("clip: has no video"));
  EXPECT_NO_THROW(
      check_inpainting("clip", sound, CavMaeConfig{}, {.mask_ratio_audio = 0, .mask_ratio_video = 1}));
}

}  // namespace
}  // namespace cavmae
