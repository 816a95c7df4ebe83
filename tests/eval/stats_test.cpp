#include "cavmae/eval/stats.h"

#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/data/media_files.h"

#include "tests/data/toy_media.h"

namespace cavmae {
namespace {

TEST(FbankStats, AreThoseOfAllInputsBeforeNormalisation) {
  TemporaryFolder folder;
  std::vector<ClipSource> clips;
  std::vector<torch::Tensor> inputs;
  InputSpec plain = tiny_features();
  plain.fbank_mean = 0;
  plain.fbank_std = 1;
  for (int i = 0; i < 7; ++i) {
    write_wav(folder / (std::to_string(i) + ".wav"), 0.5 + 0.2 * i, 200 + 100 * i);
    clips.push_back(clip_of_file(folder / (std::to_string(i) + ".wav")));
    clips.back().id = std::to_string(i);
    inputs.push_back(ClipReader(plain).read(clips.back(), {}, Need::audio, 0).audio);
  }
  write_text(folder / "bad.wav", "no sound");
  clips.push_back(clip_of_file(folder / "bad.wav"));
  clips.back().id = "bad";
  const PassOptions options{.loader = {.batch_size = 3, .max_bad_ratio = 0.2}, .show_progress = false};
  const auto stats = compute_fbank_stats(clips, tiny_features(), options, null_log());
  const auto all = torch::cat(inputs).to(torch::kFloat64);
  EXPECT_NEAR(stats.mean, all.mean().item<double>(), 1e-9);
  EXPECT_NEAR(stats.std, all.std().item<double>(), 1e-9);
  EXPECT_EQ(stats.num_clips, 7);
  ASSERT_EQ(stats.bad_clips.size(), 1u);
  EXPECT_EQ(stats.bad_clips[0].id, "bad");
}

TEST(FbankStats, NothingReadableIsAnError) {
  TemporaryFolder folder;
  write_text(folder / "bad.wav", "no sound");
  ClipSource clip = clip_of_file(folder / "bad.wav");
  clip.id = "bad";
  EXPECT_THROW(compute_fbank_stats({clip}, tiny_features(),
                                   {.loader = {.max_bad_ratio = 1}, .show_progress = false}, null_log()),
               DataError);
}

}  // namespace
}  // namespace cavmae
