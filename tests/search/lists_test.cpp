#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/search/folder_reader.h"
#include "cavmae/search/folder_writer.h"
#include "cavmae/search/list_training.h"
#include "cavmae/search/recall.h"
#include "cavmae/search/search.h"

#include "tests/support/normal.h"
#include "tests/support/temporary_folder.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;

// Vectors around 50 centres, as those of recordings are; files 0 to 9 lie in a folder of their own.
class Lists : public testing::TestWithParam<IndexKind> {
 protected:
  static constexpr int64_t kFiles = 300, kMoments = 40;

  LibrarySettings settings_with(IndexKind index) const {
    LibrarySettings settings;
    settings.model.path = "/model";
    settings.model.embed_dim = width_;
    settings.index = index;
    return settings;
  }

  explicit Lists(int64_t width = 32) : width_(width) {
    const torch::Tensor centers = normal({50, width_}, 1);
    const torch::Tensor which = (normal({kFiles, kMoments}, 2).abs() * 1000).to(torch::kInt64).remainder(50);
    vectors_ = centers.index_select(0, which.flatten()).view({kFiles, kMoments, width_}) +
               0.5 * normal({kFiles, kMoments, width_}, 3);
  }
  void fill(FolderWriter& writer, int64_t first, int64_t end) {
    for (int64_t f = first; f < end; ++f) {
      std::vector<NewMoment> moments;
      for (int64_t i = 0; i < kMoments; ++i)
        moments.push_back(
            {.start_ms = 1000 * i,
             .end_ms = 1000 * i + 1000,
             .audio = vector_bytes(vectors_[f][i], torch::kFloat32),
             .video = f % 5 == 0 ? std::string() : vector_bytes(-vectors_[f][i], torch::kFloat32)});
      LibraryFile file;
      file.path = (f < 10 ? "/few/" : "/many/") + std::to_string(f);
      file.content = file.path;
      writer.catalog().add_file(file, moments, {});
    }
    writer.seal();
  }
  static ClipVectors sound(const torch::Tensor& vector) { return {.audio = vector, .video = {}}; }
  static std::set<std::string> found(LibraryReader& library, const ClipVectors& query,
                                     const std::string& under = "") {
    std::set<std::string> out;
    SearchOptions options{.target = SearchFor::audio, .top = 10};
    options.under = under;
    for (const FileHit& hit : search(library, query, options)) out.insert(hit.file.path);
    return out;
  }
  // Of sounds, and of pictures, which lie on the other side of the sphere.
  double share_found(LibraryReader& library, LibraryReader& flat) const {
    int64_t right = 0;
    constexpr int64_t kQueries = 50;
    for (int64_t q = 0; q < kQueries; ++q) {
      const torch::Tensor near =
          vectors_[q][q % kMoments] + 0.5 * normal({width_}, static_cast<uint64_t>(100 + q));
      const ClipVectors query = q % 2 == 0 ? sound(near) : ClipVectors{.audio = {}, .video = -near};
      const auto exact = found(flat, query);
      for (const std::string& path : found(library, query)) right += exact.contains(path);
    }
    return static_cast<double>(right) / (10.0 * kQueries);
  }

  int64_t width_;
  TemporaryFolder folder_;
  torch::Tensor vectors_;
};

TEST_P(Lists, FindsNearlyAllThatComparingEverythingFinds) {
  FolderWriter flat(folder_ / "flat", settings_with(IndexKind::flat), LibraryStart::add, null_log());
  fill(flat, 0, kFiles);
  FolderWriter writer(folder_ / "library", settings_with(GetParam()), LibraryStart::add, null_log());
  fill(writer, 0, kFiles / 2);
  fill(writer, kFiles / 2, kFiles);  // segments that come later take the lists that were learned
  FolderReader library(folder_ / "library"), exact(folder_ / "flat");
  const auto snapshot = library.folder_snapshot();
  ASSERT_EQ(snapshot->parts().size(), 2u);
  for (const FolderSnapshot::Part& part : snapshot->parts()) {
    ASSERT_TRUE(part.lists);
    EXPECT_EQ(part.lists->audio.rows.size(0), part.rows.size());
    EXPECT_EQ(part.lists->video.rows.size(0), part.rows.size() * 4 / 5);
    EXPECT_EQ(part.lists->audio.codes.defined(), GetParam() == IndexKind::ivfpq);
  }
  EXPECT_LT(snapshot->list_models().audio.probe(true), snapshot->list_models().audio.num_lists());
  EXPECT_GE(share_found(library, exact), 0.95);
  EXPECT_EQ(found(library, sound(normal({width_}, 5)), "/few").size(), 10u);
}

TEST_P(Lists, AreNoMoreThanAHelp) {
  FolderWriter flat(folder_ / "flat", settings_with(IndexKind::flat), LibraryStart::add, null_log());
  fill(flat, 0, 100);
  FolderReader exact(folder_ / "flat");
  {
    FolderWriter writer(folder_ / "library", settings_with(GetParam()), LibraryStart::add, null_log());
    fill(writer, 0, 100);
  }
  const fs::path lists = generation_folder(folder_ / "library", 1) / "segments/000001.lists.safetensors";
  ASSERT_TRUE(fs::exists(lists));
  // Damaged lists are as none: the segment has all that is needed, and the next writer makes them anew.
  std::ofstream(lists) << "nothing of the kind";
  {
    FolderReader library(folder_ / "library");
    EXPECT_FALSE(library.folder_snapshot()->parts()[0].lists);
    EXPECT_EQ(share_found(library, exact), 1.0);
  }
  FolderWriter writer(folder_ / "library", settings_with(GetParam()), LibraryStart::add, null_log());
  writer.seal();
  FolderReader library(folder_ / "library");
  EXPECT_TRUE(library.folder_snapshot()->parts()[0].lists);
}

TEST_P(Lists, GoWhereTheLibraryBecomesFlat) {
  {
    FolderWriter writer(folder_ / "library", settings_with(GetParam()), LibraryStart::add, null_log());
    fill(writer, 0, 50);
  }
  FolderWriter writer(folder_ / "library", settings_with(IndexKind::flat), LibraryStart::add, null_log());
  writer.seal();
  FolderReader library(folder_ / "library");
  EXPECT_FALSE(library.folder_snapshot()->parts()[0].lists);
  EXPECT_FALSE(fs::exists(generation_folder(folder_ / "library", 1) / "lists.safetensors"));
}

TEST_P(Lists, SayWhatTheyMiss) {
  FolderWriter flat(folder_ / "flat", settings_with(IndexKind::flat), LibraryStart::add, null_log());
  fill(flat, 0, 50);
  FolderReader exact(folder_ / "flat");
  const auto always = [](int64_t, int64_t) { return true; };
  EXPECT_TRUE(measure_recall(exact, 20, always).empty());  // nothing can be missed
  FolderWriter writer(folder_ / "library", settings_with(GetParam()), LibraryStart::add, null_log());
  fill(writer, 0, kFiles);
  FolderReader library(folder_ / "library");
  int64_t asked = 0, expected = 0;
  const auto recalls = measure_recall(library, 20, [&](int64_t done, int64_t total) {
    asked = done;
    expected = total;
    return true;
  });
  EXPECT_EQ(asked, 80);
  EXPECT_EQ(expected, 80);
  ASSERT_EQ(recalls.size(), 4u);
  for (const IndexRecall& recall : recalls) EXPECT_GE(recall.at_10, 0.9);
  EXPECT_TRUE(measure_recall(library, 20, [](int64_t, int64_t) { return false; }).empty());
  // Lists in which a query looks into one alone hold fewer.
  const fs::path generation = generation_folder(folder_ / "library", 1);
  ListModels models = load_list_models(generation).value();
  models.audio = ListModel(models.audio.projection(), models.audio.centers(), {.same_side = 1});
  if (GetParam() == IndexKind::ivfpq) return;  // whose codes such a model lacks
  save_list_models(generation, models);
  FolderReader narrow(folder_ / "library");
  const auto missing = measure_recall(narrow, 20, always);
  ASSERT_EQ(missing.size(), 4u);
  EXPECT_LT(missing[0].at_10, recalls[0].at_10);
  EXPECT_EQ(missing[0].query, ClipSide::audio);
  EXPECT_EQ(missing[0].found, ClipSide::audio);
}

// A side that no moment has takes no space; one that some have does.
TEST_P(Lists, OfALibraryOfSoundsAlone) {
  const auto fill_sounds = [&](FolderWriter& writer, int64_t first, int64_t end) {
    for (int64_t f = first; f < end; ++f) {
      std::vector<NewMoment> moments;
      for (int64_t i = 0; i < kMoments; ++i)
        moments.push_back({.start_ms = 1000 * i,
                           .end_ms = 1000 * i + 1000,
                           .audio = vector_bytes(vectors_[f][i], torch::kFloat32),
                           .video = {}});
      LibraryFile file;
      file.path = "/sounds/" + std::to_string(f);
      file.content = file.path;
      writer.catalog().add_file(file, moments, {});
    }
    writer.seal();
  };
  FolderWriter writer(folder_ / "library", settings_with(GetParam()), LibraryStart::add, null_log());
  for (int64_t part = 0; part < 8; ++part) fill_sounds(writer, part * 12, part * 12 + 12);  // and joined
  constexpr int64_t kRows = 8 * 12 * kMoments;
  FolderReader library(folder_ / "library");
  const auto snapshot = library.folder_snapshot();
  ASSERT_EQ(snapshot->parts().size(), 1u);
  ASSERT_EQ(snapshot->parts()[0].rows.size(), kRows);
  EXPECT_TRUE(is_all_lacking(snapshot->parts()[0].rows.video));
  EXPECT_EQ(snapshot->sample(ClipSide::video).size(0), 0);
  EXPECT_FALSE(snapshot->list_models().video.is_there());
  const auto file = segment_file(generation_folder(folder_ / "library", 1), snapshot->parts()[0].segment);
  EXPECT_LT(fs::file_size(file), kRows * (width_ * sizeof(float) + 64));
  EXPECT_EQ(found(library, sound(vectors_[3][5])).size(), 10u);
  const auto hits =
      search(library, {.audio = vectors_[3][5], .video = {}}, {.target = SearchFor::any, .top = 3});
  ASSERT_EQ(hits.size(), 3u);
  EXPECT_EQ(hits[0].file.path, "/sounds/3");
  EXPECT_FALSE(library.vectors(hits[0].moments[0].moment.id).video.defined());
  EXPECT_TRUE(search(library, {.audio = vectors_[3][5], .video = {}}, {.target = SearchFor::video}).empty());
  EXPECT_EQ(measure_recall(library, 5, [](int64_t, int64_t) { return true; }).size(), 1u);
  // A picture asks otherwise than sounds do, and there was none when lists were counted.
  EXPECT_LT(snapshot->list_models().audio.probe(/*is_same_side=*/true),
            snapshot->list_models().audio.num_lists());
  const torch::Tensor pictures = normal({20, width_}, 7);
  for (int64_t query = 0; query < 20; ++query) {
    const ClipVectors picture{.audio = {}, .video = pictures[query]};
    const auto listed = search(library, picture, {.target = SearchFor::audio, .top = 5}),
               compared = search(library, picture, {.target = SearchFor::audio, .top = 5, .exact = true});
    ASSERT_EQ(listed.size(), 5u);
    for (size_t i = 0; i < 5; ++i)
      EXPECT_EQ(listed[i].moments[0].moment.id, compared[i].moments[0].moment.id);
  }
  // Pictures that come later.
  fill(writer, 200, 204);
  EXPECT_FALSE(
      search(library, {.audio = -vectors_[201][5], .video = {}}, {.target = SearchFor::video}).empty());
}

// Lists of wide vectors are learned in the 128 directions in which they differ most.
class WideLists : public Lists {
 protected:
  WideLists() : Lists(160) {}
};

TEST_P(WideLists, FindNearlyAllThatComparingEverythingFinds) {
  FolderWriter flat(folder_ / "flat", settings_with(IndexKind::flat), LibraryStart::add, null_log());
  fill(flat, 0, kFiles / 2);
  FolderWriter writer(folder_ / "library", settings_with(GetParam()), LibraryStart::add, null_log());
  fill(writer, 0, kFiles / 2);
  FolderReader library(folder_ / "library"), exact(folder_ / "flat");
  const ListModel& model = library.folder_snapshot()->list_models().audio;
  EXPECT_EQ(model.projection().sizes(), torch::IntArrayRef({128, 160}));
  EXPECT_EQ(model.centers().size(1), 128);
  EXPECT_LT(model.probe(true), model.num_lists());
  EXPECT_GE(share_found(library, exact), 0.95);
}

// Of vectors that lie all in one direction, what differs is what codes keep least of.
TEST(ListTraining, CountsHowManyAreComparedByTheVectorsThemselves) {
  constexpr int64_t kVectors = 8000, kWidth = 32, kQueries = 60, kNearest = 10;
  const auto near_one_another = [](int64_t count, uint64_t seed) {
    return directions_of(normal({1, kWidth}, 1) + 0.1 * normal({count, kWidth}, seed));
  };
  const torch::Tensor vectors = near_one_another(kVectors, 2), queries = near_one_another(kQueries, 3);
  const ListModel model =
      train_lists(vectors, torch::empty({0, kWidth}), {.num_vectors = kVectors, .codes = true});
  ASSERT_TRUE(model.has_codes());
  const auto compared = static_cast<int64_t>(std::ceil(model.compared_share() * kVectors));
  EXPECT_GT(compared, kNearest);
  EXPECT_LT(compared, kVectors / 4);
  const torch::Tensor nearest = std::get<1>(queries.matmul(vectors.t()).topk(kNearest, 1));
  const torch::Tensor list_of = model.lists_of(vectors), codes = model.codes_of(vectors);
  int64_t found = 0, found_by_as_many_as_wanted = 0, in_lists = 0;
  for (int64_t q = 0; q < kQueries; ++q) {
    const torch::Tensor is_probed =
        torch::isin(list_of, model.nearest_lists(queries[q], model.probe(/*is_same_side=*/true)));
    const torch::Tensor products = model.code_products(queries[q]);
    torch::Tensor scores = torch::full({kVectors}, -10.0f);
    for (int64_t row = 0; row < kVectors; ++row)
      if (is_probed[row].item<bool>())
        scores[row] =
            product_of_code(products.data_ptr<float>(), codes[row].data_ptr<uint8_t>(), codes.size(1));
    const auto held_by = [&](int64_t count) {
      return torch::isin(nearest[q], std::get<1>(scores.topk(count)))
          .logical_and(is_probed.index({nearest[q]}))
          .sum()
          .item<int64_t>();
    };
    found += held_by(compared);
    found_by_as_many_as_wanted += held_by(kNearest);
    in_lists += is_probed.index({nearest[q]}).sum().item<int64_t>();
  }
  EXPECT_GE(static_cast<double>(found), 0.95 * static_cast<double>(in_lists));
  EXPECT_LT(static_cast<double>(found_by_as_many_as_wanted), 0.8 * static_cast<double>(in_lists));
}

INSTANTIATE_TEST_SUITE_P(Kinds, WideLists, testing::Values(IndexKind::ivf),
                         [](const auto&) { return "ivf"; });

INSTANTIATE_TEST_SUITE_P(Kinds, Lists, testing::Values(IndexKind::ivf, IndexKind::ivfpq),
                         [](const auto& kind) { return kind.param == IndexKind::ivf ? "ivf" : "ivfpq"; });

}  // namespace
}  // namespace cavmae
