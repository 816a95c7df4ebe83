#include "cavmae/eval/embed.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"

#include "tests/eval/tiny_model.h"

namespace cavmae {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::ThrowsMessage;

PassOptions quiet_options() {
  PassOptions options;
  options.loader = {.batch_size = 4, .num_workers = 2, .max_bad_ratio = 0.9};
  options.show_progress = false;
  return options;
}

ClipEmbeddings embed(CavMae& model, const std::vector<ClipSource>& clips, const PassOptions& options) {
  return embed_clips(model, testing::tiny_features(), clips, options, null_log());
}

// Clip by clip, picture by picture, by the definition.
Embeddings embed_by_hand(CavMae& model, const ClipSource& clip, FrameChoice frames) {
  torch::NoGradGuard no_grad;
  const ClipReader reader(testing::tiny_features());
  ViewOptions view;
  view.frames = frames;
  const Sample sample = reader.read(clip, view, Need::both, 0);
  torch::Tensor pictures = sample.video;
  if (pictures.dim() == 3) pictures = pictures.unsqueeze(0);
  Embeddings sum;
  for (int64_t k = 0; k < pictures.size(0); ++k) {
    const Embeddings one =
        model->embed({.audio = sample.audio.unsqueeze(0), .video = pictures[k].unsqueeze(0)});
    sum.audio = k == 0 ? one.audio : sum.audio + one.audio;
    sum.video = k == 0 ? one.video : sum.video + one.video;
  }
  return {.audio = sum.audio[0] / pictures.size(0), .video = sum.video[0] / pictures.size(0)};
}

void expect_by_hand(CavMae& model, FrameChoice frames) {
  const auto clips = testing::tiny_clips();
  PassOptions options = quiet_options();
  options.view.frames = frames;
  const ClipEmbeddings all = embed(model, clips, options);
  ASSERT_THAT(all.indices, ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_TRUE(all.failed.empty());
  for (size_t i = 0; i < clips.size(); ++i) {
    const Embeddings expected = embed_by_hand(model, clips[i], frames);
    const auto row = static_cast<int64_t>(i);
    EXPECT_TRUE(all.audio[row].allclose(expected.audio, 1e-4, 1e-5)) << i;
    EXPECT_TRUE(all.video[row].allclose(expected.video, 1e-4, 1e-5)) << i;
  }
}

// A whole sound stands beside each picture, with pictures of its own or without.
TEST(ClipEmbeddings, OfEachPictureAreAsManyForSoundAlone) {
  auto clips = testing::tiny_clips();
  for (const size_t i : {1, 4}) clips[i].frames.clear();
  CavMae model = testing::tiny_model();
  PassOptions options = quiet_options();
  options.need = Need::any;
  options.view.frames = FrameChoice::all;
  const int64_t pictures = testing::tiny_features().num_frames, width = model->config().embed_dim;
  const ClipEmbeddings each =
      embed_clips(model, testing::tiny_features(), clips, options, null_log(), ClipVectorsOf::picture);
  const ClipEmbeddings one = embed(model, clips, options);
  ASSERT_EQ(each.audio.sizes(), (std::vector<int64_t>{6, pictures, width}));
  ASSERT_EQ(each.video.sizes(), (std::vector<int64_t>{6, pictures, width}));
  EXPECT_TRUE(each.audio.mean(1).allclose(one.audio, 1e-4, 1e-5));
  EXPECT_TRUE(each.audio[1][0].equal(each.audio[1][pictures - 1]));
  EXPECT_TRUE(each.video[1].isnan().all().item<bool>());
  EXPECT_FALSE(each.video[0].isnan().any().item<bool>());
  options.need = Need::audio;
  const ClipEmbeddings sounds =
      embed_clips(model, testing::tiny_features(), clips, options, null_log(), ClipVectorsOf::picture);
  EXPECT_EQ(sounds.audio.sizes(), each.audio.sizes());
}

TEST(ClipEmbeddings, AreTheFeaturesOfEachClip) {
  CavMae model = testing::tiny_model();
  expect_by_hand(model, FrameChoice::middle);
}

TEST(ClipEmbeddings, OfAllPicturesAreTheMeanOfEach) {
  CavMae model = testing::tiny_model();
  expect_by_hand(model, FrameChoice::all);
}

TEST(ClipEmbeddings, OfAMixedNetworkRunTheSoundBesideEachPicture) {
  CavMaeConfig config = testing::tiny_config();
  config.joint_streams = JointStreams::concat;
  CavMae model = testing::tiny_model(config);
  expect_by_hand(model, FrameChoice::middle);
  expect_by_hand(model, FrameChoice::all);
}

TEST(ClipEmbeddings, SkipAndNameClipsThatFail) {
  CavMae model = testing::tiny_model();
  auto clips = testing::tiny_clips();
  clips[1].audio = testing::media_file("square_224.png");
  clips[4].frames.clear();
  const ClipEmbeddings all = embed(model, clips, quiet_options());
  EXPECT_THAT(all.indices, ElementsAre(0, 2, 3, 5));
  EXPECT_EQ(all.audio.size(0), 4);
  ASSERT_EQ(all.failed.size(), 2u);
  EXPECT_EQ(all.failed[0].id, "clip1");
  EXPECT_EQ(all.failed[1].id, "clip4");
  EXPECT_FALSE(all.failed[0].reason.empty());
}

TEST(ClipEmbeddings, OfAnyKindHaveNanWhereASideIsMissing) {
  CavMae model = testing::tiny_model();
  auto clips = testing::tiny_clips();
  clips[0].frames.clear();                                 // audio only
  clips[2].audio = {};                                     // pictures alone
  clips[3].audio = testing::media_file("square_224.png");  // a sound that is none
  clips[5].audio = "/nowhere/sound.wav";                   // nothing
  clips[5].frames = {"/nowhere/picture.png"};
  PassOptions options = quiet_options();
  options.need = Need::any;
  const ClipEmbeddings all = embed(model, clips, options);
  EXPECT_THAT(all.indices, ElementsAre(0, 1, 2, 3, 4));
  const auto missing = [](const torch::Tensor& rows) {
    const torch::Tensor flags = rows.isnan().any(1);
    EXPECT_TRUE(flags.equal(rows.isnan().all(1)));
    std::vector<bool> out;
    for (int64_t i = 0; i < flags.size(0); ++i) out.push_back(flags[i].item<bool>());
    return out;
  };
  EXPECT_THAT(missing(all.audio), ElementsAre(false, false, true, true, false));
  EXPECT_THAT(missing(all.video), ElementsAre(true, false, false, false, false));
  ASSERT_EQ(all.failed.size(), 1u);
  EXPECT_EQ(all.failed[0].id, "clip5");
  EXPECT_EQ(all.failed[0].side, ClipSide::both);
  std::map<std::string, ClipSide> lacking;
  for (const BadClip& clip : all.lacking) lacking[clip.id] = clip.side;
  EXPECT_THAT(lacking, ElementsAre(Pair("clip0", ClipSide::video), Pair("clip2", ClipSide::audio),
                                   Pair("clip3", ClipSide::audio)));
  const Embeddings alone = embed_by_hand(model, testing::tiny_clips()[3], FrameChoice::middle);
  EXPECT_TRUE(all.video[3].allclose(alone.video, 1e-4, 1e-5));
}

// Every NaN row has its reason, in `failed` or in `lacking`.
void expect_reasons(const ClipEmbeddings& all, const std::vector<ClipSource>& clips) {
  const auto has_reason = [&](const std::string& id, ClipSide side) {
    const auto is_it = [&](const BadClip& c) { return c.id == id && c.side == side && !c.reason.empty(); };
    return std::ranges::any_of(all.failed, is_it) || std::ranges::any_of(all.lacking, is_it);
  };
  for (size_t row = 0; row < all.indices.size(); ++row) {
    const std::string& id = clips[all.indices[row]].id;
    const auto r = static_cast<int64_t>(row);
    EXPECT_EQ(all.audio[r].isnan().any().item<bool>(), has_reason(id, ClipSide::audio)) << id;
    EXPECT_EQ(all.video[r].isnan().any().item<bool>(), has_reason(id, ClipSide::video)) << id;
  }
}

TEST(ClipEmbeddings, NameTheSideThatCouldNotBeRead) {
  CavMae model = testing::tiny_model();
  auto clips = testing::tiny_clips();
  clips[0].audio = "/nowhere/sound.wav";
  clips[1].frames = {"/nowhere/picture.png"};
  clips[2].audio = testing::media_file("square_224.png");  // a sound that is none: lacks it
  clips[3].audio = {};
  clips[4].start_seconds = 1e6;
  PassOptions options = quiet_options();
  options.need = Need::any;
  const ClipEmbeddings all = embed(model, clips, options);
  std::map<std::string, ClipSide> failed;
  for (const BadClip& clip : all.failed) failed[clip.id] = clip.side;
  EXPECT_THAT(failed, ElementsAre(Pair("clip0", ClipSide::audio), Pair("clip1", ClipSide::video),
                                  Pair("clip4", ClipSide::audio)));
  EXPECT_THAT(all.failed[0].reason, HasSubstr("/nowhere/sound.wav"));
  EXPECT_EQ(to_line(all.failed[0]).find("clip0 (its audio): "), 0u);
  EXPECT_EQ(to_json(all.failed)[1]["side"], "video");
  expect_reasons(all, clips);
  // Lost sides count as bad clips do.
  options.loader.max_bad_ratio = 0.4;
  EXPECT_THROW(embed(model, clips, options), DataError);
}

TEST(ClipEmbeddings, ThatAreNotFiniteAreNamed) {
  CavMae model = testing::tiny_model();
  {
    const torch::NoGradGuard no_grad;
    for (auto& parameter : model->named_parameters())
      if (parameter.key().find("blocks_a") != std::string::npos) parameter.value().fill_(NAN);
  }
  PassOptions options = quiet_options();
  options.need = Need::any;
  options.loader.max_bad_ratio = 1.0;
  auto clips = testing::tiny_clips();
  clips[1].frames = {"/nowhere/picture.png"};
  const ClipEmbeddings all = embed(model, clips, options);
  ASSERT_EQ(all.failed.size(), 6u);
  for (const BadClip& clip : all.failed) {
    EXPECT_EQ(clip.side, clip.id == "clip1" ? ClipSide::both : ClipSide::audio) << clip.id;
    EXPECT_THAT(clip.reason, HasSubstr("not finite"));
  }
  options.loader.max_bad_ratio = 0.5;
  EXPECT_THROW(embed(model, clips, options), DataError);
}

TEST(ClipEmbeddings, OfOneSideLeaveTheOtherUndefined) {
  CavMae model = testing::tiny_model();
  PassOptions options = quiet_options();
  options.need = Need::audio;
  const ClipEmbeddings all = embed(model, testing::tiny_clips(), options);
  EXPECT_EQ(all.audio.sizes(), (std::vector<int64_t>{6, 24}));
  EXPECT_FALSE(all.video.defined());
}

TEST(ClipEmbeddings, OfNoClipsAreEmpty) {
  CavMae model = testing::tiny_model();
  PassOptions options = quiet_options();
  for (const Need need : {Need::any, Need::both}) {
    options.need = need;
    EXPECT_EQ(embed(model, {}, options).audio.sizes(), (std::vector<int64_t>{0, 24}));
  }
}

TEST(ClipEmbeddings, StopPastTheShareOfBadClips) {
  CavMae model = testing::tiny_model();
  auto clips = testing::tiny_clips();
  for (auto& clip : clips) {
    clip.audio = "/nowhere/sound.wav";
    clip.frames = {"/nowhere/picture.png"};
  }
  PassOptions options = quiet_options();
  for (const Need need : {Need::both, Need::any}) {
    options.need = need;
    EXPECT_THROW(embed(model, clips, options), DataError);
  }
}

TEST(ClipEmbeddings, AskOnlyWhatTheNetworkHas) {
  CavMaeConfig config = testing::tiny_config();
  config.joint_streams = JointStreams::concat;
  CavMae mixed = testing::tiny_model(config);
  PassOptions options = quiet_options();
  options.need = Need::audio;
  EXPECT_THAT([&] { embed(mixed, testing::tiny_clips(), options); },
              ThrowsMessage<ConfigError>(HasSubstr("cannot embed one alone")));
}

}  // namespace
}  // namespace cavmae
