// Embedding and classifying clips that are bytes in memory or parts of one file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/files.h"
#include "cavmae/eval/classify.h"
#include "cavmae/eval/embed.h"

#include "tests/eval/tiny_model.h"
#include "tests/support/temporary_folder.h"

namespace cavmae {
namespace {

// Changes the source of every file of the clips.
template <class Change>
std::vector<ClipSource> changed(std::vector<ClipSource> clips, Change change) {
  for (ClipSource& clip : clips) {
    clip.audio = change(clip.audio);
    for (MediaSource& frame : clip.frames) frame = change(frame);
  }
  return clips;
}

std::string file_name(const MediaSource& source) {
  return source.path().filename().string();
}

std::vector<ClipSource> in_memory(const std::vector<ClipSource>& clips) {
  return changed(clips, [](const MediaSource& source) {
    return media_in_memory(read_text(source.path()), file_name(source));
  });
}

std::vector<ClipSource> packed_to(const std::filesystem::path& shard, const std::vector<ClipSource>& clips) {
  std::string bytes = "head";
  auto packed = changed(clips, [&](const MediaSource& source) {
    bytes += std::string(1 + bytes.size() % 3, '-');
    const auto offset = static_cast<int64_t>(bytes.size());
    bytes += read_text(source.path());
    return part_of_file({.file = shard,
                         .offset = offset,
                         .size = static_cast<int64_t>(bytes.size()) - offset,
                         .name = "shard.tar: " + file_name(source)});
  });
  write_file(shard, bytes);
  return packed;
}

TEST(MediaSources, EmbedAsTheirFiles) {
  TemporaryFolder folder;
  CavMae model = testing::tiny_model();
  const auto clips = testing::tiny_clips();
  const auto embed = [&](const std::vector<ClipSource>& sources) {
    PassOptions options;
    options.loader = {.batch_size = 4, .num_workers = 2};
    options.show_progress = false;
    return embed_clips(model, testing::tiny_features(), sources, options, null_log());
  };
  const ClipEmbeddings files = embed(clips);
  ASSERT_EQ(files.indices.size(), clips.size());
  for (const auto& sources : {in_memory(clips), packed_to(folder / "shard.tar", clips)}) {
    const ClipEmbeddings found = embed(sources);
    EXPECT_EQ(found.indices, files.indices);
    EXPECT_TRUE(found.audio.equal(files.audio));
    EXPECT_TRUE(found.video.equal(files.video));
  }
}

TEST(MediaSources, AreClassifiedAsTheirFiles) {
  TemporaryFolder folder;
  Classifier classifier(testing::tiny_config(), HeadOptions{.num_classes = 5});
  torch::manual_seed(4);
  {
    torch::NoGradGuard no_grad;
    for (torch::Tensor& parameter : classifier->parameters()) parameter.normal_(0, 0.1);
  }
  const auto clips = testing::tiny_clips();
  const auto classify = [&](const std::vector<ClipSource>& sources) {
    PassOptions options;
    options.loader = {.batch_size = 4, .num_workers = 2};
    options.show_progress = false;
    return classify_clips(classifier, testing::tiny_features(), sources, options, null_log());
  };
  const ClipScores files = classify(clips);
  ASSERT_EQ(files.indices.size(), clips.size());
  for (const auto& sources : {in_memory(clips), packed_to(folder / "shard.tar", clips)}) {
    const ClipScores found = classify(sources);
    EXPECT_EQ(found.indices, files.indices);
    EXPECT_TRUE(found.scores.equal(files.scores));
  }
}

}  // namespace
}  // namespace cavmae
