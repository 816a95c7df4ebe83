#include "cavmae/eval/report_examples.h"

#include <numeric>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/eval/tiny_model.h"

namespace cavmae {
namespace {

using ::testing::ElementsAre;

ReportExampleOptions small_options() {
  ReportExampleOptions options;
  options.num_queries = 3;
  options.num_answers = 4;
  options.num_reconstructions = 2;
  options.pass.loader = {.batch_size = 4, .num_workers = 2, .max_bad_ratio = 0.9};
  options.pass.show_progress = false;
  return options;
}

TEST(ChooseExamples, TakesFromBothEndsAndTheMiddle) {
  std::vector<double> ranks(30);
  std::iota(ranks.rbegin(), ranks.rend(), 1.0);  // row 29 is the best
  const auto examples = choose_examples(ranks, 6, 1);
  std::vector<double> chosen;
  std::vector<ExampleKind> kinds;
  for (const Example& example : examples) {
    chosen.push_back(ranks[example.row]);
    kinds.push_back(example.kind);
  }
  EXPECT_THAT(chosen, ElementsAre(1, 2, 15, 16, 29, 30));
  EXPECT_THAT(kinds, ElementsAre(ExampleKind::best, ExampleKind::best, ExampleKind::middle,
                                 ExampleKind::middle, ExampleKind::worst, ExampleKind::worst));
}

TEST(ChooseExamples, NeverTakesARowTwice) {
  for (const size_t n : {0, 1, 2, 3, 4, 5, 7, 50}) {
    for (const int64_t count : {0, 1, 2, 3, 5, 6, 7, 100}) {
      const auto examples = choose_examples(std::vector<double>(n, 1.0), count, 9);
      std::set<int64_t> rows;
      for (const Example& example : examples) rows.insert(example.row);
      EXPECT_EQ(rows.size(), examples.size());
      EXPECT_EQ(examples.size(), std::min<size_t>(n, static_cast<size_t>(count)));
    }
  }
}

TEST(FramesWithSound, EndWhereThePaddingBegins) {
  torch::Tensor fbank = torch::randn({10, 4});
  EXPECT_EQ(frames_with_sound(fbank), 10);
  fbank.narrow(0, 7, 3).fill_(1.13);
  EXPECT_EQ(frames_with_sound(fbank), 7);
  EXPECT_EQ(frames_with_sound(torch::full({10, 4}, 1.13)), 10) << "nothing but padding stays as it is";
}

TEST(ReportExamples, ShowsQueriesAnswersAndReconstructions) {
  CavMae model = testing::tiny_model();
  const auto clips = testing::tiny_clips();
  const ReportExamples examples =
      make_report_examples(model, testing::tiny_features(), clips, small_options(), null_log());
  EXPECT_EQ(examples.clips, 6);
  ASSERT_TRUE(examples.retrieval.has_value());
  EXPECT_EQ(examples.retrieval->clips, 6);
  ASSERT_EQ(examples.queries.size(), 6u);
  for (const ShownQuery& query : examples.queries) {
    ASSERT_EQ(query.answers.size(), 4u);
    EXPECT_EQ(query.query.picture.sizes(), (std::vector<int64_t>{32, 32, 3}));
    EXPECT_EQ(query.query.fbank.size(1), 32);
    EXPECT_TRUE(std::ranges::is_sorted(query.scores, std::ranges::greater{}));
    for (size_t k = 0; k < query.answers.size(); ++k)
      EXPECT_EQ(query.answers[k].id == query.query.id, query.is_partner[k]);
    EXPECT_THAT(query.query.labels, ElementsAre("kind " + std::to_string((query.query.id.back() - '0') % 3)));
  }
  EXPECT_EQ(examples.queries[0].direction, Direction::audio_to_video);
  EXPECT_EQ(examples.queries[5].direction, Direction::video_to_audio);
  ASSERT_EQ(examples.reconstructions.size(), 2u);
  for (const ShownReconstruction& r : examples.reconstructions) {
    EXPECT_EQ(r.rebuilt_picture.sizes(), (std::vector<int64_t>{32, 32, 3}));
    EXPECT_TRUE(r.masked_fbank.isnan().any().item<bool>());
    EXPECT_FALSE(r.rebuilt_fbank.isnan().any().item<bool>());
    EXPECT_EQ(r.rebuilt_fbank.sizes(), r.original_fbank.sizes());
  }
}

TEST(ReportExamples, IsTheSameForOneSeed) {
  CavMae model = testing::tiny_model();
  const auto clips = testing::tiny_clips();
  const auto show = [&] {
    return make_report_examples(model, testing::tiny_features(), clips, small_options(), null_log());
  };
  const ReportExamples first = show(), second = show();
  ASSERT_EQ(first.queries.size(), second.queries.size());
  for (size_t i = 0; i < first.queries.size(); ++i)
    EXPECT_EQ(first.queries[i].query.id, second.queries[i].query.id);
  ASSERT_EQ(first.reconstructions.size(), second.reconstructions.size());
  for (size_t i = 0; i < first.reconstructions.size(); ++i)
    EXPECT_TRUE(first.reconstructions[i].rebuilt_picture.equal(second.reconstructions[i].rebuilt_picture));
}

TEST(ReportExamples, AveragesAllPicturesAndShowsTheMiddleOne) {
  CavMae model = testing::tiny_model();
  ReportExampleOptions options = small_options();
  options.pass.view.frames = FrameChoice::all;
  const ReportExamples examples =
      make_report_examples(model, testing::tiny_features(), testing::tiny_clips(), options, null_log());
  EXPECT_EQ(examples.queries.front().query.picture.sizes(), (std::vector<int64_t>{32, 32, 3}));
}

TEST(ReportExamples, NamesBadClipsAndGoesOn) {
  CavMae model = testing::tiny_model();
  auto clips = testing::tiny_clips();
  clips[0].audio = "/nowhere/sound.wav";
  const ReportExamples examples =
      make_report_examples(model, testing::tiny_features(), clips, small_options(), null_log());
  ASSERT_EQ(examples.failed.size(), 1u);
  EXPECT_EQ(examples.failed[0].id, "clip0");
  EXPECT_EQ(examples.clips, 5);
  for (const ShownQuery& query : examples.queries) EXPECT_NE(query.query.id, "clip0");
}

TEST(ReportExamples, WithoutADecoderHasNoReconstructions) {
  CavMaeConfig config = testing::tiny_config();
  config.decoder_depth = 0;
  config.joint_streams = JointStreams::separate;
  CavMae model = testing::tiny_model(config);
  const ReportExamples examples = make_report_examples(model, testing::tiny_features(), testing::tiny_clips(),
                                                       small_options(), null_log());
  EXPECT_TRUE(examples.reconstructions.empty());
  EXPECT_EQ(examples.queries.size(), 6u);
}

}  // namespace
}  // namespace cavmae
