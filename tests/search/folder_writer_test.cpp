#include "cavmae/search/folder_writer.h"

#include <algorithm>
#include <filesystem>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include "cavmae/search/folder_reader.h"
#include "cavmae/search/segment.h"

#include "tests/support/normal.h"
#include "tests/support/temporary_folder.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;

LibrarySettings settings_of_width(int64_t width, VectorType type = VectorType::float32) {
  LibrarySettings settings;
  settings.model.path = "/model";
  settings.model.embed_dim = width;
  settings.vectors = type;
  return settings;
}

// A file whose moments have vectors that tell them apart: the row of `audio` and its negative.
void add_file(FolderWriter& writer, const std::string& path, const torch::Tensor& audio) {
  const torch::ScalarType type = scalar_type(writer.settings().vectors);
  std::vector<NewMoment> moments;
  for (int64_t i = 0; i < audio.size(0); ++i)
    moments.push_back({.start_ms = 1000 * i,
                       .end_ms = 1000 * i + 2000,
                       .audio = vector_bytes(audio[i], type),
                       .video = i % 3 == 0 ? std::string() : vector_bytes(-audio[i], type)});
  LibraryFile file;
  file.path = path;
  file.stamp = "1";
  file.content = path;
  writer.catalog().add_file(file, moments, {});
  writer.seal_if_due();
}

TEST(FolderWriter, SealsAndJoinsSegmentsAndKeepsEveryVector) {
  constexpr int64_t kFiles = 20, kMoments = 1000;
  TemporaryFolder folder;
  FolderWriter writer(folder / "library", settings_of_width(4), LibraryStart::add, null_log());
  FolderReader reader(folder / "library");
  const torch::Tensor all = normal({kFiles, kMoments, 4}, 1);
  for (int64_t f = 0; f < kFiles; ++f) add_file(writer, "/f" + std::to_string(f), all[f]);
  // Files that go while their moments lie in segments.
  writer.catalog().remove_file(3);
  add_file(writer, "/f7", -all[7]);
  for (int64_t f = 0; f < 8 * 5; ++f) add_file(writer, "/more" + std::to_string(f), all[f % kFiles]);
  writer.seal();
  const LibraryCounts counts = writer.catalog().counts();
  EXPECT_EQ(counts.moments, (kFiles - 1 + 40) * kMoments);
  EXPECT_EQ(counts.in_tail, 0);
  EXPECT_LE(counts.segments, 8);
  EXPECT_TRUE(writer.check().damaged.empty());
  const auto snapshot = reader.folder_snapshot();
  int64_t alive = 0;
  for (const FolderSnapshot::Part& part : snapshot->parts())
    alive += part.alive.defined() ? part.alive.sum().item<int64_t>() : part.rows.size();
  EXPECT_EQ(alive, counts.moments);
  const auto seventh = writer.catalog().file_at("/f7", "");
  for (const Moment& moment : writer.catalog().moments_of(seventh->id)) {
    if (moment.start_ms % 100000 != 0) continue;
    const ClipVectors vectors = reader.vectors(moment.id);
    const int64_t row = moment.start_ms / 1000;
    EXPECT_TRUE(vectors.audio.equal(-all[7][row]));
    EXPECT_EQ(vectors.video.defined(), row % 3 != 0);
  }
  int64_t files = 0;
  for (const auto& entry : fs::directory_iterator(generation_folder(folder / "library", 1) / "segments"))
    files += entry.is_regular_file();
  EXPECT_EQ(files, counts.segments);
}

// Readers and writers do both whenever a library has changed.
TEST(FolderWriter, ReadsItsTailAndCountsWithoutGoingThroughAllMoments) {
  constexpr int64_t kFiles = 60, kMoments = 1000;
  TemporaryFolder folder;
  FolderWriter writer(folder / "library", settings_of_width(4), LibraryStart::add, null_log());
  for (int64_t f = 0; f < kFiles; ++f)
    add_file(writer, "/f" + std::to_string(f), normal({kMoments, 4}, static_cast<uint64_t>(f)));
  writer.seal();
  Catalog& catalog = writer.catalog();
  catalog.add_file({.path = "/last", .audio_path = "", .stamp = "", .content = "last"},
                   {{.start_ms = 0, .end_ms = 1000, .audio = {}, .video = {}}}, {});
  // Pages that SQLite looks at.
  Database& database = catalog.database();
  const auto pages = [&](const std::function<void()>& run) {
    const auto count_anew = [&] {
      int sum = 0;
      for (const int what : {SQLITE_DBSTATUS_CACHE_HIT, SQLITE_DBSTATUS_CACHE_MISS}) {
        int count = 0, highest = 0;
        sqlite3_db_status(database.handle(), what, &count, &highest, /*resetFlg=*/1);
        sum += count;
      }
      return sum;
    };
    count_anew();
    run();
    return count_anew();
  };
  int64_t moments = 0, in_tail = 0;
  const int all = pages([&] {
    Statement rows(database, "SELECT COUNT(*) FROM moments");
    if (rows.step()) moments = rows.integer(0);
  });
  EXPECT_EQ(moments, kFiles * kMoments + 1);
  EXPECT_GT(all, 100);
  EXPECT_LT(pages([&] { catalog.for_each_in_tail([&](const StoredMoment&) { ++in_tail; }); }), all / 4);
  EXPECT_EQ(in_tail, 1);
  LibraryCounts counts;
  EXPECT_LT(pages([&] { counts = catalog.counts(); }), all / 4);
  EXPECT_EQ(counts.moments, moments);
  EXPECT_EQ(counts.in_tail, 1);
}

TEST(FolderWriter, RemovesWhatAKilledOneHasLeft) {
  TemporaryFolder folder;
  const fs::path stray = generation_folder(folder / "library", 1) / "segments/000009.safetensors";
  const fs::path old = generation_folder(folder / "library", 8);
  {
    FolderWriter writer(folder / "library", settings_of_width(4), LibraryStart::add, null_log());
    add_file(writer, "/a", normal({5, 4}, 1));
    writer.seal();
    write_segment(stray, read_tail(writer.catalog(), 4, torch::kFloat32));
    fs::create_directories(old);
  }
  FolderWriter writer(folder / "library", settings_of_width(4), LibraryStart::add, null_log());
  EXPECT_FALSE(fs::exists(stray));
  EXPECT_FALSE(fs::exists(old));
  EXPECT_EQ(writer.catalog().counts().moments, 5);
}

TEST(FolderWriter, Float16HalvesWhatVectorsTake) {
  TemporaryFolder folder;
  FolderWriter writer(folder / "library", settings_of_width(4, VectorType::float16), LibraryStart::add,
                      null_log());
  const torch::Tensor vectors = normal({5, 4}, 1);
  add_file(writer, "/a", vectors);
  writer.seal();
  FolderReader reader(folder / "library");
  EXPECT_EQ(reader.folder_snapshot()->parts()[0].rows.audio.scalar_type(), torch::kFloat16);
  EXPECT_TRUE(reader.vectors(2).audio.equal(vectors[1].to(torch::kFloat16).to(torch::kFloat32)));
}

TEST(FolderWriter, AFolderThatHoldsOtherFilesIsNoLibrary) {
  TemporaryFolder folder;
  fs::create_directories(folder / "films/a");
  EXPECT_THAT(message_from<ConfigError>([&] {
                FolderWriter(folder / "films", settings_of_width(4), LibraryStart::add, null_log());
              }),
              testing::HasSubstr("holds other files"));
  EXPECT_THAT(message_from<ConfigError>([&] { FolderReader(folder / "films"); }),
              testing::HasSubstr("cavmae index"));
}

}  // namespace
}  // namespace cavmae
