#include "cavmae/eval/embed_parts.h"

#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/base_sink.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/eval/embed_file.h"
#include "cavmae/models/parameters_hash.h"

#include "tests/eval/tiny_model.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tensor_bytes.h"
#include "tests/support/thread_world.h"
#include "tests/support/told_world.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// Calls a function at each warning.
class OnWarning : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit OnWarning(std::function<void()> call) : call_(std::move(call)) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (message.level == spdlog::level::warn) call_();
  }
  void flush_() override {}
  std::function<void()> call_;
};

EmbedPartsOptions in_parts_of(int64_t part_clips) {
  EmbedPartsOptions options{.part_clips = part_clips};
  options.pass.loader = {.batch_size = 2, .num_workers = 1, .max_bad_ratio = 0.9};
  options.pass.show_progress = false;
  return options;
}

class EmbeddingParts : public ::testing::Test {
 protected:
  PartsIndex embed(const EmbedPartsOptions& options) {
    return embed_in_parts(folder_ / "out", model_, "model.safetensors", testing::tiny_features(), clips_,
                          options, null_log());
  }
  // The rows of all files, one after another.
  torch::Tensor stored(const std::string& side) const {
    std::vector<torch::Tensor> rows;
    for (const EmbeddingPart& part : read_parts_index(folder_ / "out").parts) {
      const StoredEmbeddings file = read_embeddings(folder_ / "out" / part.file);
      rows.push_back(side == "audio" ? file.audio : file.video);
    }
    return at::cat(rows);
  }

  TemporaryFolder folder_;
  CavMae model_ = testing::tiny_model();
  std::vector<ClipSource> clips_ = testing::tiny_clips();
};

TEST_F(EmbeddingParts, TogetherAreWhatOnePassGives) {
  const PartsIndex index = embed(in_parts_of(4));
  ASSERT_EQ(index.parts.size(), 2u);
  EXPECT_EQ(index.parts[1].first, 4);
  EXPECT_EQ(index.parts[1].clips, 2);
  EXPECT_EQ(index.rows(), 6);
  const ClipEmbeddings whole =
      embed_clips(model_, testing::tiny_features(), clips_, in_parts_of(4).pass, null_log());
  EXPECT_TRUE(stored("audio").allclose(whole.audio, 1e-5, 1e-6));
  EXPECT_TRUE(stored("video").allclose(whole.video, 1e-5, 1e-6));
  EXPECT_THAT(read_embeddings(folder_ / "out" / index.parts[1].file).ids, ElementsAre("clip4", "clip5"));
}

TEST_F(EmbeddingParts, ThoseThatAreThereAreNotMadeAgain) {
  embed(in_parts_of(2));
  const fs::path first = folder_ / "out/part-000000.safetensors",
                 last = folder_ / "out/part-000002.safetensors";
  const torch::Tensor audio = stored("audio");
  const auto written = fs::last_write_time(first);
  // As after a stop between the last two parts.
  Json index = read_json(folder_ / "out/index.json");
  index["parts"].erase(2);
  write_json(folder_ / "out/index.json", index);
  fs::remove(last);
  EXPECT_EQ(embed(in_parts_of(2)).rows(), 6);
  EXPECT_EQ(fs::last_write_time(first), written);
  EXPECT_TRUE(stored("audio").equal(audio));
}

TEST_F(EmbeddingParts, AStopWithinTheFirstLeavesAFolderThatIsKnown) {
  clips_[0].audio = "no such.wav";
  EmbedPartsOptions options = in_parts_of(4);
  options.pass.need = Need::both;
  options.pass.loader.max_bad_ratio = 0.0;
  std::optional<bool> was_known;  // when the first clip was named
  const auto looks = std::make_shared<OnWarning>([&] {
    if (!was_known) was_known = holds_embedding_parts(folder_ / "out");
  });
  EXPECT_THROW(embed_in_parts(folder_ / "out", model_, "model.safetensors", testing::tiny_features(), clips_,
                              options, std::make_shared<Log>("test", looks)),
               DataError);
  EXPECT_EQ(was_known, true);
}

// Rows of parts that are written are let go.
TEST_F(EmbeddingParts, MoreOfThemTakeNoMoreMemory) {
  ClipSource clip;
  clip.audio = testing::media_file("stereo_2s_16k.wav");
  clip.video = testing::media_file("up_50x37.png");
  const auto most_bytes = [&](int count) {
    std::vector<ClipSource> clips(static_cast<size_t>(count), clip);
    for (int i = 0; i < count; ++i) clips[i].id = std::to_string(i);
    EmbedPartsOptions options = in_parts_of(10);
    options.pass.loader.num_workers = 0;  // whose tensors are counted too
    const auto bytes = std::make_shared<testing_support::TensorBytes>();
    const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, bytes);
    EXPECT_EQ(embed_in_parts(folder_ / std::to_string(count), model_, "model.safetensors",
                             testing::tiny_features(), clips, options, null_log())
                  .rows(),
              count);
    return bytes->most();
  };
  most_bytes(10);  // what stays from the first use
  const int64_t of_20 = most_bytes(20), of_200 = most_bytes(200);
  const int64_t row = 2 * testing::tiny_config().embed_dim * static_cast<int64_t>(sizeof(float));
  EXPECT_GT(of_20, 10 * row) << "there is something to measure";
  EXPECT_LT(of_200, of_20 + 20 * row);
}

TEST_F(EmbeddingParts, OfSomethingElseAreLeftAlone) {
  embed(in_parts_of(4));
  CavMae other = testing::tiny_model(testing::tiny_config(), /*seed=*/4);
  model_ = other;
  EXPECT_THAT(message_from<ConfigError>([&] { embed(in_parts_of(4)); }),
              AllOf(HasSubstr("parameters"), Not(HasSubstr("clips")), HasSubstr("--out")));
  clips_.pop_back();
  EXPECT_THAT(message_from<ConfigError>([&] { embed(in_parts_of(4)); }), HasSubstr("clips"));
}

TEST_F(EmbeddingParts, OfAnotherWindowAreLeftAlone) {
  embed(in_parts_of(4));
  EmbedPartsOptions options = in_parts_of(4);
  options.pass.view.window_start = 0.1;
  EXPECT_THAT(message_from<ConfigError>([&] { embed(options); }), HasSubstr("view"));
}

TEST_F(EmbeddingParts, AFileThatIsGoneIsNamed) {
  embed(in_parts_of(4));
  fs::remove(folder_ / "out/part-000001.safetensors");
  EXPECT_THAT(message_from<CheckpointError>([&] { embed(in_parts_of(4)); }), HasSubstr("part-000001"));
  write_file(folder_ / "out/index.json", R"({"format": "cavmae embeddings in parts", "parts": 3})");
  EXPECT_THAT(message_from<CheckpointError>([&] { read_parts_index(folder_ / "out"); }),
              HasSubstr("damaged"));
}

// Rank 0 looks at what is there, and lists are read at different speeds.
TEST_F(EmbeddingParts, RanksMayComeToThemLate) {
  testing_support::run_ranks(2, [&](World& world) {
    testing_support::ToldWorld told(world);
    EmbedPartsOptions options{.part_clips = 4, .pass = {.show_progress = false, .world = told}};
    options.pass.loader = {.batch_size = 2, .num_workers = 1};
    embed(options);
    ASSERT_FALSE(told.calls().empty());
    EXPECT_EQ(told.calls().front(), "wait_for_all");
  });
}

TEST_F(EmbeddingParts, ManyBadClipsEndIt) {
  for (size_t i = 0; i < 3; ++i) clips_[i].audio = "no such.wav";
  EmbedPartsOptions options = in_parts_of(2);
  options.pass.need = Need::both;
  options.pass.loader.max_bad_ratio = 0.6;
  EXPECT_THAT(message_from<DataError>([&] { embed(options); }), HasSubstr("2 of the first 2 clips"));
  fs::remove_all(folder_ / "out");
  options.part_clips = 4;  // 3 of 4, too
  EXPECT_THAT(message_from<DataError>([&] { embed(options); }), HasSubstr("3 of the first 4 clips"));
  EXPECT_THAT(message_from<DataError>([&] { embed(options); }), HasSubstr("3 of the first 4 clips"))
      << "the same command again";
  fs::remove_all(folder_ / "out");
  options.part_clips = 6;
  EXPECT_EQ(embed(options).failed(), 3);
}

TEST_F(EmbeddingParts, RanksShareEachPart) {
  testing_support::run_ranks(2, [&](World& world) {
    PassOptions pass = in_parts_of(4).pass;
    const EmbedPartsOptions options{.part_clips = 4,
                                    .pass = {.loader = pass.loader, .show_progress = false, .world = world}};
    CavMae model = testing::tiny_model();
    const PartsIndex index = embed_in_parts(folder_ / "out", model, "model.safetensors",
                                            testing::tiny_features(), clips_, options, null_log());
    EXPECT_EQ(index.rows(), 6);
    ASSERT_EQ(index.parts.size(), 2u);
  });
  const ClipEmbeddings whole =
      embed_clips(model_, testing::tiny_features(), clips_, in_parts_of(4).pass, null_log());
  EXPECT_TRUE(stored("video").allclose(whole.video, 1e-5, 1e-6));
}

TEST(ParametersHash, DependsOnEveryNumber) {
  CavMae model = testing::tiny_model(), same = testing::tiny_model();
  EXPECT_EQ(parameters_hash(model), parameters_hash(same));
  EXPECT_EQ(parameters_hash(model).size(), 16u);
  torch::NoGradGuard no_grad;
  same->named_parameters().back().value().view(-1)[0] += 1e-3;
  EXPECT_NE(parameters_hash(model), parameters_hash(same));
}

}  // namespace
}  // namespace cavmae
