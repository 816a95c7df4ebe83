// Libraries in PostgreSQL with pgvector: vectors, COPY and nearest. PGlite takes one connection at a time.
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/search/postgres/reader.h"
#include "cavmae/search/postgres/writer.h"

#include "tests/search/postgres_servers.h"
#include "tests/search/same_results.h"
#include "tests/search/toy_library.h"
#include "tests/support/normal.h"
#include "tests/support/tools.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing_support::Outcome;
using testing_support::run_cavmae;

class PgliteLibrary : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (have_pglite()) server_ = new PgliteServer();
  }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }
  void SetUp() override {
    CAVMAE_SKIP_OR_FAIL_WITHOUT(have_pglite(), "PGlite (npm ci in tests/search/pglite)");
    PostgresConnection(server_->url()).execute("DROP SCHEMA IF EXISTS cavmae CASCADE");
  }

  static PgliteServer* server_;
  TemporaryFolder folder_;
};
PgliteServer* PgliteLibrary::server_ = nullptr;

TEST_F(PgliteLibrary, FindsWhatALibraryInAFolderFinds) {
  ToyLibrary toy(folder_.path(), server_->url()), plain(folder_.path());
  write_sounds_and_pictures(toy.films());
  LibrarySettings halves = toy.settings();
  halves.vectors = VectorType::float16;
  EXPECT_EQ(toy.index(halves).added, 12);
  EXPECT_EQ(toy.index(halves).unchanged, 12);
  plain.index(halves);
  FolderReader folder(plain.library());
  {
    PostgresReader library(server_->url());
    expect_same_results(library, folder, toy.films());
  }
  PostgresReader by_index(server_->url(), /*compared_by_server=*/0);
  expect_same_results(by_index, folder, toy.films());
}

TEST_F(PgliteLibrary, TheCommandsAreThoseOfAFolder) {
  const ToyLibrary toy(folder_.path());
  write_sounds_and_pictures(toy.films());
  const std::string url = "'" + server_->url() + "'";
  const Outcome indexed = run_cavmae("index " + url + " --hop 1 --data " + toy.films().string() +
                                     " --checkpoint " + (folder_ / "model.safetensors").string());
  ASSERT_EQ(indexed.exit_code, 0) << indexed.err;
  EXPECT_THAT(run_cavmae("info " + url).out, AllOf(HasSubstr("halfvec with HNSW"), HasSubstr("vector 0.8")));
  const Outcome found =
      run_cavmae("search " + url + " --like sounds/3.wav@2.5 --by audio --for audio --json -");
  ASSERT_EQ(found.exit_code, 0) << found.err;
  const Json first = Json::parse(found.out)["results"][0];
  EXPECT_EQ(first["path"], (toy.films() / "sounds/3.wav").string());
  EXPECT_NEAR(first["moments"][0]["similarity"].get<double>(), 1.0, 1e-6);
}

// Vectors around 50 centres, as those of recordings are; files 0 to 9 lie in a folder of their own.
TEST_F(PgliteLibrary, TheIndexFindsNearlyAllAndASmallFolderIsFoundWhole) {
  constexpr int64_t kWidth = 32, kFiles = 80, kMoments = 20;
  LibrarySettings settings;
  settings.model.path = "/model";
  settings.model.embed_dim = kWidth;
  settings.vectors = VectorType::float16;
  const torch::Tensor centers = normal({50, kWidth}, 1);
  const torch::Tensor which = (normal({kFiles, kMoments}, 2).abs() * 1000).to(torch::kInt64).remainder(50);
  const torch::Tensor vectors = centers.index_select(0, which.flatten()).view({kFiles, kMoments, kWidth}) +
                                0.5 * normal({kFiles, kMoments, kWidth}, 3);
  {
    PostgresWriter writer(server_->url(), settings, LibraryStart::add, null_log());
    for (int64_t f = 0; f < kFiles; ++f) {
      std::vector<NewMoment> moments;
      for (int64_t i = 0; i < kMoments; ++i)
        moments.push_back({.start_ms = 1000 * i,
                           .end_ms = 1000 * i + 1000,
                           .audio = vector_bytes(vectors[f][i], torch::kFloat16),
                           .video = {}});
      LibraryFile file;
      file.path = (f < 10 ? "/few/" : "/many/") + std::to_string(f);
      file.content = file.path;
      writer.add_file(file, moments, {});
    }
  }
  PostgresReader library(server_->url(), /*compared_by_server=*/0);
  const auto found = [&](const torch::Tensor& query, bool exact, const std::string& under) {
    SearchOptions options{.target = SearchFor::audio, .top = 10};
    options.exact = exact;
    options.under = under;
    std::set<std::string> out;
    for (const FileHit& hit : search(library, {.audio = query, .video = {}}, options))
      out.insert(hit.file.path);
    return out;
  };
  int64_t right = 0;
  constexpr int64_t kQueries = 10;
  for (int64_t q = 0; q < kQueries; ++q) {
    const torch::Tensor query =
        vectors[q][q % kMoments] + 0.5 * normal({kWidth}, static_cast<uint64_t>(100 + q));
    const auto exact = found(query, true, "");
    for (const std::string& path : found(query, false, "")) right += exact.contains(path);
  }
  EXPECT_GE(right, 0.95 * 10 * kQueries);
  // Far from all of them, so that an index that is filtered afterwards would find others alone.
  EXPECT_EQ(found(-vectors[0].mean(0), false, "/few").size(), 10u);
}

}  // namespace
}  // namespace cavmae
