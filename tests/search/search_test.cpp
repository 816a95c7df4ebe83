#include "cavmae/search/search.h"

#include <cmath>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/search/folder_reader.h"
#include "cavmae/search/folder_writer.h"

#include "tests/support/normal.h"
#include "tests/support/temporary_folder.h"

namespace cavmae {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int64_t kWidth = 16;

LibrarySettings toy_settings() {
  LibrarySettings settings;
  settings.model.path = "/model";
  settings.model.embed_dim = kWidth;
  return settings;
}

// Forty files of thirty moments, which overlap their neighbours; one in four has no pictures.
class SearchTest : public testing::Test {
 protected:
  static constexpr int64_t kFiles = 40, kMoments = 30;

  SearchTest() : writer_(folder_ / "library", toy_settings(), LibraryStart::add, null_log()) {
    audio_ = normal({kFiles, kMoments, kWidth}, 1);
    video_ = normal({kFiles, kMoments, kWidth}, 2) + 0.5;
    for (int64_t f = 0; f < kFiles; ++f) {
      add(f);
      if (f == 25) writer_.seal();
    }
    library_ = std::make_unique<FolderReader>(folder_ / "library");
  }
  void add(int64_t f) {
    std::vector<NewMoment> moments;
    for (int64_t i = 0; i < kMoments; ++i)
      moments.push_back(
          {.start_ms = 1000 * i,
           .end_ms = 1000 * i + 2000,
           .audio = vector_bytes(audio_[f][i], torch::kFloat32),
           .video = has_video(f) ? vector_bytes(video_[f][i], torch::kFloat32) : std::string()});
    LibraryFile file;
    file.path = path_of(f);
    file.content = file.path;
    writer_.catalog().add_file(file, moments, {});
  }
  static bool has_video(int64_t f) { return f % 4 != 0; }
  static std::string path_of(int64_t f) {
    return (f < 10 ? "/films/a/" : "/films/ab/") + std::to_string(f) + ".mp4";
  }

  // The plain twin for one pair of modalities: every similarity, as [F, M]; NaN where there is none.
  torch::Tensor similarities(const torch::Tensor& query, bool of_video) const {
    torch::Tensor all = torch::cosine_similarity(of_video ? video_ : audio_, query.view({1, 1, kWidth}), 2);
    if (of_video)
      for (int64_t f = 0; f < kFiles; ++f)
        if (!has_video(f)) all[f].fill_(std::nan(""));
    return all;
  }

  TemporaryFolder folder_;
  FolderWriter writer_;
  torch::Tensor audio_, video_;
  std::unique_ptr<FolderReader> library_;
};

TEST_F(SearchTest, FindsTheFilesWithTheBestMomentsInTheirOrder) {
  for (const bool of_video : {false, true}) {
    const torch::Tensor query = normal({kWidth}, 7);
    const torch::Tensor all = similarities(query, of_video);
    const auto best = std::get<0>(all.nan_to_num(-2).max(1));
    const auto order = best.argsort(0, /*descending=*/true);
    const auto hits = search(*library_, {.audio = query, .video = {}},
                             {.target = of_video ? SearchFor::video : SearchFor::audio, .top = 12});
    ASSERT_EQ(hits.size(), 12u);
    for (int64_t i = 0; i < 12; ++i) {
      const int64_t f = order[i].item<int64_t>();
      const FileHit& hit = hits[static_cast<size_t>(i)];
      EXPECT_EQ(hit.file.path, path_of(f));
      EXPECT_NEAR(hit.moments[0].similarity, best[f].item<double>(), 1e-6);
      EXPECT_EQ(hit.moments[0].moment.start_ms, 1000 * all[f].argmax().item<int64_t>());
    }
  }
}

TEST_F(SearchTest, AMomentIsLikeItself) {
  const auto hits =
      search(*library_, {.audio = audio_[17][4], .video = {}}, {.target = SearchFor::audio, .top = 1});
  ASSERT_EQ(hits.size(), 1u);
  EXPECT_EQ(hits[0].file.path, path_of(17));
  EXPECT_EQ(hits[0].moments[0].moment.start_ms, 4000);
  EXPECT_NEAR(hits[0].moments[0].similarity, 1.0, 1e-6);
}

TEST_F(SearchTest, OfMomentsThatOverlapOnlyTheBestIsListed) {
  const torch::Tensor query = normal({kWidth}, 9);
  const auto hits = search(*library_, {.audio = query, .video = {}},
                           {.target = SearchFor::audio, .top = kFiles, .moments_per_file = 100});
  ASSERT_EQ(hits.size(), static_cast<size_t>(kFiles));
  const torch::Tensor all = similarities(query, false);
  for (const FileHit& hit : hits) {
    const int64_t f = std::stoll(hit.file.path.substr(hit.file.path.rfind('/') + 1));
    // The plain twin: best first, what is next to one that was taken falls away.
    std::vector<int64_t> expected;
    const torch::Tensor order = all[f].argsort(0, /*descending=*/true);
    for (int64_t i = 0; i < kMoments; ++i) {
      const int64_t m = order[i].item<int64_t>();
      if (std::ranges::none_of(expected, [&](int64_t other) { return std::abs(other - 1000 * m) < 2000; }))
        expected.push_back(1000 * m);
    }
    std::vector<int64_t> found;
    for (const MomentHit& moment : hit.moments) found.push_back(moment.moment.start_ms);
    EXPECT_EQ(found, expected) << hit.file.path;
  }
}

TEST_F(SearchTest, AScoreOfAHalfIsThreeDeviationsAboveChance) {
  const torch::Tensor query = normal({kWidth}, 11);
  const auto hits = search(*library_, {.audio = query, .video = {}},
                           {.target = SearchFor::video, .top = kFiles, .moments_per_file = 100});
  const torch::Tensor all = similarities(query, true).flatten();
  const torch::Tensor known = all.index({all.isfinite()}).to(torch::kFloat64);
  const double mean = known.mean().item<double>(), deviation = known.std(false).item<double>();
  ASSERT_EQ(hits.size(), static_cast<size_t>(kFiles * 3 / 4));
  double last = 2.0;
  for (const FileHit& hit : hits) {
    const MomentHit& best = hit.moments[0];
    const double z = (best.similarity - mean) / deviation;
    EXPECT_NEAR(best.score, 1.0 / (1.0 + std::exp(3.0 - z)), 1e-5);
    EXPECT_LE(best.score, last);
    last = best.score;
  }
  const double least = hits[4].moments[0].score;
  const auto fewer = search(*library_, {.audio = query, .video = {}},
                            {.target = SearchFor::video, .top = kFiles, .min_score = least});
  EXPECT_EQ(fewer.size(), 5u);
  for (const FileHit& hit : fewer)
    for (const MomentHit& moment : hit.moments) EXPECT_GE(moment.score, least);
}

TEST_F(SearchTest, EitherSideCountsByTheBetterScore) {
  const ClipVectors query{.audio = normal({kWidth}, 12), .video = normal({kWidth}, 13)};
  const auto any = search(*library_, query, {.top = 10});
  std::map<std::string, double> best;
  for (const SearchFor target : {SearchFor::audio, SearchFor::video})
    for (const ClipVectors& part :
         {ClipVectors{.audio = query.audio, .video = {}}, ClipVectors{.audio = {}, .video = query.video}})
      for (const FileHit& hit : search(*library_, part, {.target = target, .top = kFiles}))
        best[hit.file.path] = std::max(best[hit.file.path], hit.moments[0].score);
  std::vector<double> expected;
  for (const auto& [path, score] : best) expected.push_back(score);
  std::ranges::sort(expected, std::greater{});
  ASSERT_EQ(any.size(), 10u);
  for (size_t i = 0; i < any.size(); ++i) EXPECT_NEAR(any[i].moments[0].score, expected[i], 1e-9);
}

TEST_F(SearchTest, AFolderIsFoundWhole) {
  const ClipVectors query{.audio = normal({kWidth}, 14), .video = {}};
  const auto hits = search(*library_, query, {.target = SearchFor::audio, .top = 100, .under = "/films/a"});
  EXPECT_EQ(hits.size(), 10u);
  for (const FileHit& hit : hits) EXPECT_THAT(hit.file.path, testing::StartsWith("/films/a/"));
  EXPECT_EQ(search(*library_, query, {.target = SearchFor::audio, .under = path_of(20)}).size(), 1u);
  EXPECT_TRUE(search(*library_, query, {.under = "/films/nowhere"}).empty());
}

TEST_F(SearchTest, SeesWhatIsAddedAndRemovedMeanwhile) {
  const ClipVectors query{.audio = audio_[17][4], .video = {}};
  writer_.catalog().remove_file(18);  // ids count from 1
  EXPECT_NE(search(*library_, query, {.target = SearchFor::audio, .top = 1})[0].file.path, path_of(17));
  add(17);
  EXPECT_EQ(search(*library_, query, {.target = SearchFor::audio, .top = 1})[0].file.path, path_of(17));
}

TEST_F(SearchTest, ThreadsThatSearchWhileItGrowsSeeWholeLibraries) {
  std::atomic<bool> done = false;
  std::vector<std::thread> readers;
  std::atomic<int> searches = 0;
  for (int t = 0; t < 3; ++t)
    readers.emplace_back([&, t] {
      FolderReader own(folder_ / "library");
      while (!done || searches < 3) {
        const auto hits = search(t == 0 ? *library_ : own, {.audio = audio_[5][2], .video = {}},
                                 {.target = SearchFor::audio, .top = 1});
        ASSERT_EQ(hits.size(), 1u);
        EXPECT_EQ(hits[0].file.path, path_of(5));
        ++searches;
      }
    });
  for (int i = 0; i < 30; ++i) {
    add(i % 5 + 10);
    if (i % 2 == 0) writer_.seal();
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
}

TEST_F(SearchTest, FindsAMomentByFileAndSecond) {
  EXPECT_EQ(library_->find_moment("17.mp4", 4.9).start_ms, 4000);
  EXPECT_EQ(library_->find_moment("ab/17.mp4", 0).start_ms, 0);
  EXPECT_EQ(library_->find_moment(path_of(17), 12.0).start_ms, 11000);
  EXPECT_THAT(message_from<DataError>([&] { library_->find_moment("7.mp3", 1); }),
              HasSubstr("is not in the library"));
  EXPECT_THAT(message_from<DataError>([&] { library_->find_moment("17.mp4", -1); }),
              HasSubstr("has no second"));
}

TEST_F(SearchTest, WhatCannotBeSearchedByIsRefused) {
  EXPECT_THAT(message_from<ConfigError>([&] { search(*library_, {}, {}); }),
              HasSubstr("neither sound nor pictures"));
  EXPECT_THAT(
      message_from<ConfigError>([&] { search(*library_, {.audio = torch::ones({3}), .video = {}}, {}); }),
      HasSubstr("another model"));
  EXPECT_THAT(message_from<ConfigError>([&] {
                search(*library_, {.audio = torch::ones({kWidth}), .video = {}},
                       {.top = 0, .min_score = 2.0});
              }),
              testing::AllOf(HasSubstr("top is 0"), HasSubstr("min_score is 2")));
}

TEST(SearchOfAnEmptyLibrary, FindsNothing) {
  TemporaryFolder folder;
  const FolderWriter writer(folder / "library", toy_settings(), LibraryStart::add, null_log());
  FolderReader library(folder / "library");
  EXPECT_TRUE(search(library, {.audio = torch::ones({kWidth}), .video = {}}, {}).empty());
}

}  // namespace
}  // namespace cavmae
