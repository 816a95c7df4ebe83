#include "cavmae/eval/clip_passes.h"

#include <algorithm>
#include <csignal>

#include <gmock/gmock.h>

#include "cavmae/core/error.h"
#include "cavmae/core/stop_signal.h"
#include "cavmae/eval/classify.h"
#include "cavmae/eval/embed.h"
#include "cavmae/eval/stats.h"

#include "tests/eval/tiny_model.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/thread_world.h"

namespace cavmae {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::run_ranks;

PassOptions quiet(World& world = World::alone()) {
  return {.loader = {.batch_size = 2, .num_workers = 1, .max_bad_ratio = 0.9},
          .show_progress = false,
          .world = world};
}

const InputSpec kSpec = testing::tiny_features();

TEST(ClipPass, GivesEachRankWholeBatchesOfItsOwn) {
  for (const int64_t ranks : {1, 2, 3, 4}) {
    std::vector<std::vector<int64_t>> batches(8);  // by number among those of all ranks
    run_ranks(ranks, [&](World& world) {
      ClipPass pass(testing::tiny_clips(), std::make_shared<const ClipReader>(kSpec), quiet(world),
                    null_log());
      auto number = static_cast<size_t>(pass.first_batch());
      pass.for_each_batch([&](const Batch& batch) { batches[number++] = batch.indices; });
    });
    EXPECT_THAT(batches[0], ElementsAre(0, 1)) << ranks;
    EXPECT_THAT(batches[1], ElementsAre(2, 3)) << ranks;
    EXPECT_THAT(batches[2], ElementsAre(4, 5)) << ranks;
    EXPECT_TRUE(batches[3].empty());
  }
}

TEST(ClipPass, MayBeMadeAgainAndNamesABadClipOnce) {
  auto clips = testing::tiny_clips();
  clips[3].audio = "/nowhere/sound.wav";
  ClipPass pass(clips, std::make_shared<const ClipReader>(kSpec), quiet(), null_log());
  for (int round = 0; round < 2; ++round) {
    std::vector<int64_t> seen;
    EXPECT_EQ(pass.for_each_batch([&](const Batch& batch) {
      seen.insert(seen.end(), batch.indices.begin(), batch.indices.end());
    }),
              PassEnd::done);
    EXPECT_THAT(seen, ElementsAre(0, 1, 2, 4, 5));
  }
  EXPECT_EQ(pass.bad_clips().size(), 1u);
}

// Clips with both sides, with a sound alone and with pictures alone are read one kind after another.
TEST(ClipPass, DoesOnceWhatIsToBeDoneMeanwhile) {
  auto clips = testing::tiny_clips();
  clips[1].audio = {};
  clips[4].frames.clear();
  for (const bool any : {false, true}) {
    std::vector<std::string> order;
    PassOptions options = quiet();
    options.meanwhile = [&] { order.emplace_back("meanwhile"); };
    const BatchSink sink = [&](const Batch&) { order.emplace_back("batch"); };
    any ? for_each_batch_any_modality(clips, kSpec, options, sink, null_log())
        : for_each_batch(clips, kSpec, options, sink, null_log());
    EXPECT_GE(order.size(), 3u);
    EXPECT_EQ(order.front(), "meanwhile");
    EXPECT_EQ(std::ranges::count(order, "meanwhile"), 1);
  }
}

TEST(ClipPass, EndsWithTheErrorOfWhatIsDoneMeanwhile) {
  PassOptions options = quiet();
  options.meanwhile = [] { throw CheckpointError("bad weights"); };
  EXPECT_THROW(for_each_batch(
                   testing::tiny_clips(), kSpec, options, [](const Batch&) { ADD_FAILURE(); }, null_log()),
               CheckpointError);
}

TEST(ClipPass, EndsAtAStopSignalOnAllRanks) {
  for (const int64_t ranks : {1, 2}) {
    const StopSignal stop_signal;
    run_ranks(ranks, [&](World& world) {
      int64_t batches = 0;
      const PassResult result = for_each_batch(
          testing::tiny_clips(), kSpec, quiet(world),
          [&](const Batch&) {
            ++batches;
            if (world.rank() == world.size() - 1 && !StopSignal::requested()) std::raise(SIGTERM);
          },
          null_log());
      EXPECT_EQ(result.end, PassEnd::interrupted);
      EXPECT_LE(batches, 1);
      EXPECT_THROW(check_complete(result), Error);
    });
  }
  EXPECT_FALSE(StopSignal::requested()) << "what is over is forgotten";
}

TEST(ClipPass, OfWhichNoClipCouldBeReadIsAnErrorWhereThatIsAsked) {
  std::vector<ClipSource> clips = testing::tiny_clips();
  for (ClipSource& clip : clips) clip.audio = "/nowhere/sound.wav";
  PassOptions options = quiet();
  options.loader.max_bad_ratio = 1.0;
  const auto pass = [&] {
    return for_each_batch(
        clips, kSpec, options, [](const Batch&) {}, null_log());
  };
  EXPECT_EQ(pass().failed.size(), 6u);
  options.title = "validating";
  options.if_none_read = IfNoneRead::fail;
  EXPECT_THAT(message_from<DataError>(pass), HasSubstr("validating: none of the 6 clips could be read"));
}

TEST(ClipPass, OfSeveralRanksMakesTheEmbeddingsOfOne) {
  auto clips = testing::tiny_clips();
  clips[0].frames.clear();
  clips[2].audio = {};
  clips[3].audio = testing::media_file("square_224.png");
  clips[5].audio = "/nowhere/sound.wav";
  clips[5].frames = {"/nowhere/picture.png"};
  CavMae model = testing::tiny_model();
  for (const Need need : {Need::any, Need::both}) {
    PassOptions options = quiet();
    options.need = need;
    options.loader.max_bad_ratio = 1.0;
    const ClipEmbeddings wanted = embed_clips(model, kSpec, clips, options, null_log());
    for (const int64_t ranks : {2, 3})
      run_ranks(ranks, [&](World& world) {
        CavMae own = testing::tiny_model();
        PassOptions shared = quiet(world);
        shared.need = need;
        shared.loader.max_bad_ratio = 1.0;
        const ClipEmbeddings got = embed_clips(own, kSpec, clips, shared, null_log());
        EXPECT_EQ(got.indices, wanted.indices);
        EXPECT_TRUE(got.audio.allclose(wanted.audio, 1e-5, 1e-6, /*equal_nan=*/true));
        EXPECT_TRUE(got.video.allclose(wanted.video, 1e-5, 1e-6, /*equal_nan=*/true));
        std::vector<std::string> got_failed, wanted_failed;
        for (const BadClip& clip : got.failed) got_failed.push_back(clip.id + ": " + clip.reason);
        for (const BadClip& clip : wanted.failed) wanted_failed.push_back(clip.id + ": " + clip.reason);
        EXPECT_THAT(got_failed, ::testing::UnorderedElementsAreArray(wanted_failed));
      });
  }
}

// With a clip that lacks its pictures, one that lacks its sound, and one that cannot be read.
TEST(ClipPass, OfSeveralRanksClassifiesWhatOneClassifies) {
  auto clips = testing::tiny_clips();
  clips[1].frames.clear();
  clips[4].audio = {};
  clips[5].audio = "/nowhere/sound.wav";
  clips[5].frames = {"/nowhere/picture.png"};
  const auto classify = [&](World& world) {
    Classifier classifier(testing::tiny_config(), HeadOptions{.num_classes = 5});
    torch::Generator generator = at::detail::createCPUGenerator(4);
    {
      const torch::NoGradGuard no_grad;
      for (torch::Tensor& parameter : classifier->parameters()) parameter.normal_(0, 0.1, generator);
    }
    PassOptions options = quiet(world);
    options.view.frames = FrameChoice::all;
    return classify_clips(classifier, kSpec, clips, options, null_log());
  };
  const ClipScores wanted = classify(World::alone());
  EXPECT_THAT(wanted.indices, ElementsAre(0, 1, 2, 3, 4));
  for (const int64_t ranks : {2, 3})
    run_ranks(ranks, [&](World& world) {
      const ClipScores got = classify(world);
      EXPECT_EQ(got.indices, wanted.indices);
      EXPECT_TRUE(got.scores.allclose(wanted.scores, 1e-5, 1e-6));
      EXPECT_TRUE(got.logits.allclose(wanted.logits, 1e-5, 1e-6));
      EXPECT_EQ(got.audio_only, wanted.audio_only);
      EXPECT_EQ(got.video_only, wanted.video_only);
      ASSERT_EQ(got.failed.size(), 1u);
      EXPECT_EQ(got.failed[0].id, "clip5");
    });
}

// Two of six, both in one rank's share.
TEST(ClipPass, OfSeveralRanksHasOneLimitOfClipsThatCannotBeRead) {
  auto clips = testing::tiny_clips();
  clips[0].audio = clips[1].audio = "/nowhere/sound.wav";
  for (const double ratio : {0.34, 0.3})
    run_ranks(3, [&](World& world) {
      PassOptions options = quiet(world);
      options.loader.max_bad_ratio = ratio;
      const auto pass = [&] {
        for_each_batch(
            clips, kSpec, options, [](const Batch&) {}, null_log());
      };
      if (ratio > 0.33)
        EXPECT_NO_THROW(pass());
      else
        EXPECT_THAT(message_from<DataError>(pass), HasSubstr("2 of 6 clips could not be read"));
    });
}

TEST(ClipPass, OfSeveralRanksMeasuresWhatOneMeasures) {
  const FbankStats wanted = compute_fbank_stats(testing::tiny_clips(), kSpec, quiet(), null_log());
  run_ranks(2, [&](World& world) {
    const FbankStats got = compute_fbank_stats(testing::tiny_clips(), kSpec, quiet(world), null_log());
    EXPECT_NEAR(got.mean, wanted.mean, 1e-9);
    EXPECT_NEAR(got.std, wanted.std, 1e-9);
    EXPECT_EQ(got.num_clips, 6);
  });
}

}  // namespace
}  // namespace cavmae
