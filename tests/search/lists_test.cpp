#include <filesystem>
#include <fstream>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/search/folder_reader.h"
#include "cavmae/search/folder_writer.h"
#include "cavmae/search/search.h"

#include "tests/support/normal.h"
#include "tests/support/temporary_folder.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;

// Vectors around 50 centres, as those of recordings are; files 0 to 9 lie in a folder of their own.
class Lists : public testing::TestWithParam<IndexKind> {
 protected:
  static constexpr int64_t kWidth = 32, kFiles = 300, kMoments = 40;

  static LibrarySettings settings_with(IndexKind index) {
    LibrarySettings settings;
    settings.model.path = "/model";
    settings.model.embed_dim = kWidth;
    settings.index = index;
    return settings;
  }

  Lists() {
    const torch::Tensor centers = normal({50, kWidth}, 1);
    const torch::Tensor which = (normal({kFiles, kMoments}, 2).abs() * 1000).to(torch::kInt64).remainder(50);
    vectors_ = centers.index_select(0, which.flatten()).view({kFiles, kMoments, kWidth}) +
               0.5 * normal({kFiles, kMoments, kWidth}, 3);
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
  static std::set<std::string> found(LibraryReader& library, const torch::Tensor& query,
                                     const std::string& under = "") {
    std::set<std::string> out;
    SearchOptions options{.target = SearchFor::audio, .top = 10};
    options.under = under;
    for (const FileHit& hit : search(library, {.audio = query, .video = {}}, options))
      out.insert(hit.file.path);
    return out;
  }
  // Of queries near the sounds, and of queries that lie on the other side of the sphere, as pictures do.
  double share_found(LibraryReader& library, LibraryReader& flat) const {
    int64_t right = 0;
    constexpr int64_t kQueries = 50;
    for (int64_t q = 0; q < kQueries; ++q) {
      const torch::Tensor sound =
          vectors_[q][q % kMoments] + 0.5 * normal({kWidth}, static_cast<uint64_t>(100 + q));
      const torch::Tensor query = q % 2 == 0 ? sound : -sound;
      const auto exact = found(flat, query);
      for (const std::string& path : found(library, query)) right += exact.contains(path);
    }
    return static_cast<double>(right) / (10.0 * kQueries);
  }

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
  EXPECT_LT(snapshot->list_models().audio.probe(), snapshot->list_models().audio.num_lists());
  EXPECT_GE(share_found(library, exact), 0.95);
  EXPECT_EQ(found(library, normal({kWidth}, 5), "/few").size(), 10u);
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

INSTANTIATE_TEST_SUITE_P(Kinds, Lists, testing::Values(IndexKind::ivf, IndexKind::ivfpq),
                         [](const auto& kind) { return kind.param == IndexKind::ivf ? "ivf" : "ivfpq"; });

}  // namespace
}  // namespace cavmae
