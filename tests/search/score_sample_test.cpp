// Scores in a library of more moments than a query is compared with for them.
#include <algorithm>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "cavmae/search/folder_reader.h"
#include "cavmae/search/folder_writer.h"
#include "cavmae/search/search.h"

#include "tests/support/normal.h"
#include "tests/support/temporary_folder.h"

namespace cavmae {
namespace {

constexpr int64_t kNumFiles = 26, kPerFile = 500, kNumbers = 8;

class ScoreSample : public testing::Test {
 protected:
  ScoreSample() {
    settings_.model.path = "/model";
    settings_.model.embed_dim = kNumbers;
    FolderWriter writer(folder_ / "library", settings_, LibraryStart::add, null_log());
    for (int64_t f = 0; f < kNumFiles; ++f) {
      std::vector<NewMoment> moments;
      for (int64_t i = 0; i < kPerFile; ++i)
        moments.push_back(
            {.start_ms = 1000 * i,
             .end_ms = 1000 * i + 1000,
             .audio = vector_bytes(vectors_[f][i], torch::kFloat32),
             .video = i % 5 == 0 ? std::string() : vector_bytes(-vectors_[f][i] + 0.3, torch::kFloat32)});
      LibraryFile file;
      file.path = concat("/films/", f, ".mp4");
      file.content = file.path;
      writer.catalog().add_file(file, moments, {});
      if (f == 9 || f == 20) writer.seal();
    }
    writer.catalog().remove_file(4);  // whose moments stay in a segment
    library_ = std::make_unique<FolderReader>(folder_ / "library");
  }

  // The plain twin: the vectors of the 10,000 moments with this side whose hashes are the least.
  torch::Tensor expected_sample(ClipSide side) {
    struct Drawn {
      uint64_t hash;
      torch::Tensor vector;
    };
    std::vector<Drawn> all;
    const torch::Tensor files = library_->files_under("/");
    for (int64_t i = 0; i < files.numel(); ++i) {
      const auto file = files[i].item<int64_t>();
      for (const Moment& moment : library_->moments_of(file)) {
        const int64_t at = moment.start_ms / 1000;
        if (side == ClipSide::video && at % 5 == 0) continue;
        const torch::Tensor& vector = vectors_[file - 1][at];  // ids count from 1
        all.push_back({sample_hash(moment.id), side == ClipSide::audio ? vector : -vector + 0.3});
      }
    }
    EXPECT_EQ(all.size(),
              static_cast<size_t>((kNumFiles - 1) * kPerFile * (side == ClipSide::audio ? 5 : 4) / 5));
    std::ranges::sort(all, {}, &Drawn::hash);
    if (all.size() > 10000) all.resize(10000);
    std::vector<torch::Tensor> rows;
    for (const Drawn& drawn : all) rows.push_back(drawn.vector);
    return torch::stack(rows);
  }

  TemporaryFolder folder_;
  LibrarySettings settings_;
  torch::Tensor vectors_ = normal({kNumFiles, kPerFile, kNumbers}, 5);
  std::unique_ptr<FolderReader> library_;
};

TEST_F(ScoreSample, IsTheMomentsOfTheLeastHashes) {
  const auto snapshot = library_->folder_snapshot();
  for (const ClipSide side : {ClipSide::audio, ClipSide::video}) {
    const torch::Tensor expected = expected_sample(side);
    ASSERT_EQ(snapshot->sample(side).sizes(), expected.sizes());
    EXPECT_TRUE(snapshot->sample(side).equal(expected));
  }
}

TEST_F(ScoreSample, IsWhatScoresAreMeasuredBy) {
  const torch::Tensor query = normal({kNumbers}, 6);
  const torch::Tensor similarities = torch::cosine_similarity(
      expected_sample(ClipSide::audio).to(torch::kFloat64), query.to(torch::kFloat64).unsqueeze(0), 1);
  ASSERT_EQ(similarities.size(0), 10000);
  const double mean = similarities.mean().item<double>();
  const double deviation = similarities.std(/*unbiased=*/false).item<double>();
  const auto hits =
      search(*library_, {.audio = query, .video = {}}, {.target = SearchFor::audio, .top = kNumFiles});
  ASSERT_EQ(hits.size(), static_cast<size_t>(kNumFiles - 1));
  for (const FileHit& hit : hits)
    for (const MomentHit& moment : hit.moments) {
      const double z = (moment.similarity - mean) / deviation;
      EXPECT_NEAR(moment.score, 1.0 / (1.0 + std::exp(-(z - 3.0))), 1e-5);
    }
}

}  // namespace
}  // namespace cavmae
