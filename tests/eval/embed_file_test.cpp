#include "cavmae/eval/embed_file.h"

#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "cavmae/core/error.h"
#include "cavmae/tensorfile/safetensors.h"

namespace cavmae {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

class EmbeddingFile : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("cavmae_embed_file_" + std::to_string(::getpid()) + "_" +
               ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path folder_;
};

TEST_F(EmbeddingFile, ComesBackAsItWasWritten) {
  ClipEmbeddings embeddings{
      .audio = torch::randn({2, 5}), .video = torch::randn({2, 5}), .indices = {0, 2}, .failed = {}};
  embeddings.audio[1] = std::numeric_limits<float>::quiet_NaN();
  embeddings.failed = {{"b.mp4", "truncated: \"no\" moov"}};
  write_embeddings(folder_ / "e.safetensors", embeddings, {"a.mp4", "b.mp4", "c<d>\".jpg"}, "run/best");

  const StoredEmbeddings back = read_embeddings(folder_ / "e.safetensors");
  EXPECT_TRUE(back.video.equal(embeddings.video));
  EXPECT_TRUE(back.audio[0].equal(embeddings.audio[0]));
  EXPECT_TRUE(back.audio[1].isnan().all().item<bool>());
  EXPECT_THAT(back.ids, ElementsAre("a.mp4", "c<d>\".jpg"));
  ASSERT_EQ(back.failed.size(), 1u);
  EXPECT_EQ(back.failed[0].id, "b.mp4");
  EXPECT_EQ(back.failed[0].reason, "truncated: \"no\" moov");
  EXPECT_EQ(back.model, "run/best");
}

TEST_F(EmbeddingFile, HoldsSidesThatWereLostAndWhereWindowsStart) {
  std::vector<ClipSource> clips(3);
  clips[0].id = "a@0.000", clips[1].id = "a@2.500", clips[2].id = "gone";
  for (const int i : {0, 1}) clips[i].file = "a", clips[i].start_seconds = 2.5 * i;
  const ClipEmbeddings embeddings{.audio = torch::randn({2, 5}),
                                  .video = torch::randn({2, 5}),
                                  .indices = {0, 1},
                                  .failed = {{.id = "gone", .reason = "not there"},
                                             {.id = "a@0.000", .reason = "broken", .side = ClipSide::audio}},
                                  .lacking = {{.id = "a@2.500", .reason = "none", .side = ClipSide::video}}};
  write_embeddings(folder_ / "e.safetensors", embeddings, {"a@0.000", "a@2.500", "gone"}, "m",
                   places_of(clips));
  const StoredEmbeddings back = read_embeddings(folder_ / "e.safetensors");
  ASSERT_EQ(back.places.size(), 2u);
  EXPECT_EQ(back.places[1].file, "a");
  EXPECT_EQ(back.places[1].start_seconds, 2.5);
  ASSERT_EQ(back.failed.size(), 2u);
  EXPECT_EQ(back.failed[0].side, ClipSide::both);
  EXPECT_EQ(back.failed[1].side, ClipSide::audio);
  ASSERT_EQ(back.lacking.size(), 1u);
  EXPECT_EQ(back.lacking[0].side, ClipSide::video);
  EXPECT_TRUE(places_of(std::vector<ClipSource>(2)).empty());
}

TEST_F(EmbeddingFile, MayHoldOneSide) {
  const ClipEmbeddings embeddings{.audio = torch::ones({1, 3}), .video = {}, .indices = {0}, .failed = {}};
  write_embeddings(folder_ / "e.safetensors", embeddings, {"a"}, "m");
  const StoredEmbeddings back = read_embeddings(folder_ / "e.safetensors");
  EXPECT_TRUE(back.audio.defined());
  EXPECT_FALSE(back.video.defined());
}

TEST_F(EmbeddingFile, TakesNamesThatAreNoUtf8) {
  const ClipEmbeddings embeddings{.audio = torch::ones({1, 3}), .video = {}, .indices = {0}, .failed = {}};
  write_embeddings(folder_ / "e.safetensors", embeddings, {"caf\xE9.wav"}, "m");
  EXPECT_THAT(read_embeddings(folder_ / "e.safetensors").ids, ElementsAre("caf\xEF\xBF\xBD.wav"));
}

TEST_F(EmbeddingFile, OfAnotherKindIsRefused) {
  const auto path = folder_ / "x.safetensors";
  write_safetensors(path, {{"audio", torch::ones({2, 3})}});
  EXPECT_THAT([&] { read_embeddings(path); },
              ThrowsMessage<CheckpointError>(::testing::AllOf(HasSubstr(path.string()), HasSubstr("ids"))));
  write_safetensors(path, {{"audio", torch::ones({2, 3})}}, {{"ids", "[\"a\"]"}, {"failed", "[]"}});
  EXPECT_THAT([&] { read_embeddings(path); },
              ThrowsMessage<CheckpointError>(HasSubstr("expected float32 [1, D]")));
  write_safetensors(path, {{"audio", torch::ones({1, 3})}}, {{"ids", "[7]"}, {"failed", "[]"}});
  EXPECT_THROW(read_embeddings(path), CheckpointError);
  write_safetensors(path, {{"audio", torch::ones({1, 3})}}, {{"ids", "[\"a\""}, {"failed", "[]"}});
  EXPECT_THROW(read_embeddings(path), CheckpointError);
  write_safetensors(path, {{"other", torch::ones({1, 3})}}, {{"ids", "[\"a\"]"}, {"failed", "[]"}});
  EXPECT_THAT([&] { read_embeddings(path); }, ThrowsMessage<CheckpointError>(HasSubstr("neither")));
}

}  // namespace
}  // namespace cavmae
