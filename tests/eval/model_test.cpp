#include "cavmae/eval/model.h"

#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/eval/embed.h"
#include "cavmae/eval/nearest.h"
#include "cavmae/models/checkpoint.h"

#include "tests/eval/tiny_model.h"
#include "tests/support/temporary_folder.h"

namespace cavmae {
namespace {

using ::testing::HasSubstr;
using testing::media_file;

class ModelTest : public ::testing::Test {
 protected:
  ModelTest() {
    CavMae network = testing::tiny_model();
    save_model(folder_ / "model.safetensors", network, testing::tiny_features());
    Classifier classifier(testing::tiny_config(), HeadOptions{.num_classes = 3});
    CavMae inside = as_network(classifier);
    initialize(inside, 7);
    save_classifier(folder_ / "classifier.safetensors", classifier, testing::tiny_features(),
                    {{.mid = "a", .display_name = "A"},
                     {.mid = "b", .display_name = "B"},
                     {.mid = "c", .display_name = "C"}});
  }

  TemporaryFolder folder_;
};

TEST_F(ModelTest, EmbedsAClipAsThePassOverADataSetDoes) {
  const Model model(folder_ / "model.safetensors");
  std::vector<ClipSource> clips = testing::tiny_clips();
  CavMae network = model.pretrained().network();
  PassOptions options;
  options.show_progress = false;
  const ClipEmbeddings all = embed_clips(network, model.pretrained().spec, clips, options, null_log());
  ASSERT_EQ(all.indices.size(), clips.size());
  for (size_t i = 0; i < clips.size(); ++i) {
    const ClipVectors one = model.embed(clips[i]);
    const auto row = static_cast<int64_t>(i);
    EXPECT_TRUE(torch::allclose(one.audio, all.audio[row], 0, 1e-5));
    EXPECT_TRUE(torch::allclose(one.video, all.video[row], 0, 1e-5));
    EXPECT_EQ(nearest(one.audio, all.audio, 1).indices.item<int64_t>(), row);
  }
}

TEST_F(ModelTest, TakesWhatAFileHas) {
  const Model model(folder_ / "model.safetensors");
  const ClipVectors sound = model.embed(media_file("stereo_2s_16k.wav"));
  EXPECT_EQ(sound.audio.sizes(), (std::vector<int64_t>{24}));
  EXPECT_FALSE(sound.video.defined());
  const ClipVectors picture = model.embed(media_file("square_224.png"));
  EXPECT_FALSE(picture.audio.defined());
  EXPECT_EQ(picture.video.sizes(), (std::vector<int64_t>{24}));
}

TEST_F(ModelTest, AFileAndItsBytesGiveOneVector) {
  const Model model(folder_ / "model.safetensors");
  for (const char* name : {"stereo_2s_16k.wav", "square_224.png"}) {
    const std::string file = media_file(name);
    const ClipVectors of_file = model.embed(file);
    const ClipVectors of_bytes = model.embed(media_in_memory(read_text(file), name));
    EXPECT_EQ(of_bytes.audio.defined(), of_file.audio.defined());
    EXPECT_TRUE(of_file.audio.defined() ? of_bytes.audio.equal(of_file.audio)
                                        : of_bytes.video.equal(of_file.video));
  }
}

TEST_F(ModelTest, ClassifiesBestFirst) {
  const Model model(folder_ / "classifier.safetensors");
  const std::vector<ScoredClass> ranked = model.classify(testing::tiny_clips()[0]);
  ASSERT_EQ(ranked.size(), 3u);
  EXPECT_GE(ranked[0].score, ranked[1].score);
  EXPECT_GE(ranked[1].score, ranked[2].score);
  for (const ScoredClass& scored : ranked)
    EXPECT_EQ(scored.label.display_name, std::string(1, static_cast<char>('A' + scored.index)));
  EXPECT_TRUE(model.embed(testing::tiny_clips()[0]).audio.defined()) << "a classifier embeds too";
}

TEST_F(ModelTest, EightThreadsGetOneThreadsNumbers) {
  const Model model(folder_ / "classifier.safetensors", {.precision = PrecisionChoice::bf16});
  const std::vector<ClipSource> clips = testing::tiny_clips();
  std::vector<ClipVectors> alone;
  for (const ClipSource& clip : clips) alone.push_back(model.embed(clip));
  const Model fresh(folder_ / "classifier.safetensors", {.precision = PrecisionChoice::bf16});
  std::vector<std::vector<ClipVectors>> of_threads(8);
  std::vector<std::thread> threads;
  for (auto& mine : of_threads)
    threads.emplace_back([&] {
      for (const ClipSource& clip : clips) mine.push_back(fresh.embed(clip));
    });
  for (std::thread& thread : threads) thread.join();
  for (const auto& mine : of_threads)
    for (size_t i = 0; i < clips.size(); ++i) {
      EXPECT_TRUE(mine[i].audio.equal(alone[i].audio));
      EXPECT_TRUE(mine[i].video.equal(alone[i].video));
    }
}

TEST_F(ModelTest, WhatFailsIsAnErrorOfOurs) {
  EXPECT_THROW(Model(folder_ / "nothing"), CheckpointError);
  EXPECT_THROW(Model(folder_ / "model.safetensors", {.runtime = {.device = "tpu"}}), ConfigError);
  const Model model(folder_ / "model.safetensors");
  EXPECT_THAT(message_from<MediaError>([&] { model.embed("nothing.mp4"); }), HasSubstr("nothing.mp4"));
  EXPECT_THAT(message_from<CheckpointError>([&] { model.classify(media_file("square_224.png")); }),
              HasSubstr("holds no classifier"));
}

}  // namespace
}  // namespace cavmae
