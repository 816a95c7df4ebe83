#include "cavmae/eval/nearest.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/eval/embed_file.h"
#include "cavmae/tensorfile/safetensors.h"

#include "tests/support/temporary_folder.h"

namespace cavmae {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// The plain twin: every score in double, rows with no direction left out, sorted stably.
Neighbors plain_nearest(const torch::Tensor& queries, const torch::Tensor& matrix, int64_t k) {
  const torch::Tensor q = queries.to(torch::kFloat64), m = matrix.to(torch::kFloat64);
  const torch::Tensor scores =
      (q.matmul(m.t()) / (q.norm(2, 1).unsqueeze(1) * m.norm(2, 1).unsqueeze(0))).to(torch::kFloat32);
  k = std::min(k, m.size(0));
  Neighbors out{.indices = torch::full({q.size(0), k}, -1, torch::kInt64),
                .scores = torch::full({q.size(0), k}, kNan)};
  for (int64_t i = 0; i < q.size(0); ++i) {
    std::vector<float> row(scores[i].data_ptr<float>(), scores[i].data_ptr<float>() + m.size(0));
    std::vector<int64_t> order;
    for (int64_t j = 0; j < m.size(0); ++j)
      if (!std::isnan(row[j])) order.push_back(j);
    std::ranges::stable_sort(order, std::ranges::greater{}, [&](int64_t j) { return row[j]; });
    for (int64_t j = 0; j < std::min<int64_t>(k, static_cast<int64_t>(order.size())); ++j) {
      out.indices[i][j] = order[j];
      out.scores[i][j] = row[order[j]];
    }
  }
  return out;
}

void expect_same(const Neighbors& found, const Neighbors& expected) {
  EXPECT_TRUE(found.indices.equal(expected.indices));
  EXPECT_TRUE(torch::allclose(found.scores, expected.scores, 0, 1e-6, /*equal_nan=*/true));
}

struct Shape {
  int64_t queries, rows, width, k;
  torch::ScalarType type = torch::kFloat32;
};

class Nearest : public ::testing::TestWithParam<Shape> {};

// As if the rows that are not selected were not there.
TEST_P(Nearest, FindsSelectedRowsAlone) {
  const Shape& shape = GetParam();
  torch::manual_seed(5);
  const torch::Tensor queries = torch::randn({shape.queries, shape.width});
  const torch::Tensor matrix = torch::randn({shape.rows, shape.width}).to(shape.type);
  for (const double share : {0.0, 0.02, 0.6}) {
    const torch::Tensor selected = torch::rand({shape.rows}) < share;
    torch::Tensor rest = matrix.clone();
    rest.index_put_({selected.logical_not()}, kNan);
    expect_same(nearest(queries, matrix, shape.k, selected), nearest(queries, rest, shape.k));
  }
}

TEST_P(Nearest, FindsListedRowsAlone) {
  const Shape& shape = GetParam();
  torch::manual_seed(6);
  const torch::Tensor queries = torch::randn({shape.queries, shape.width});
  const torch::Tensor matrix = torch::randn({shape.rows, shape.width}).to(shape.type);
  for (const double share : {0.0, 0.3, 1.1}) {
    const torch::Tensor selected = torch::rand({shape.rows}) < share;
    const torch::Tensor rows = selected.nonzero().flatten();
    const Neighbors found = nearest_among(queries, matrix, rows, shape.k);
    const Neighbors expected = nearest(queries, matrix, shape.k, selected);
    const int64_t k = std::min(shape.k, rows.size(0));
    ASSERT_EQ(found.indices.size(1), k);
    EXPECT_TRUE(found.indices.equal(expected.indices.narrow(1, 0, k)));
    EXPECT_TRUE(found.scores.equal(expected.scores.narrow(1, 0, k)));
  }
}

TEST(CosineSimilarities, AreThoseOfEveryRow) {
  torch::manual_seed(7);
  torch::Tensor matrix = torch::randn({3000, 70});
  const torch::Tensor query = torch::randn({70}) * 5;
  matrix[8].zero_();
  matrix[9].fill_(kNan);
  torch::Tensor expected = torch::cosine_similarity(matrix, query.unsqueeze(0), 1);
  expected[9] = 0;
  EXPECT_TRUE(torch::allclose(cosine_similarities(query, matrix), expected, 0, 1e-5));
}

TEST(NearestRows, RefusesRowsThatDoNotAscend) {
  const torch::Tensor matrix = torch::eye(4);
  for (const auto& rows : {std::vector<int64_t>{1, 0}, {2, 2}, {-1, 2}, {0, 4}})
    EXPECT_THROW(nearest_among(matrix, matrix, torch::tensor(rows), 1), Error);
}

TEST_P(Nearest, IsThePlainTwin) {
  const Shape& shape = GetParam();
  torch::manual_seed(3);
  const torch::Tensor queries = torch::randn({shape.queries, shape.width});
  torch::Tensor matrix = torch::randn({shape.rows, shape.width}) * torch::rand({shape.rows, 1});
  if (shape.rows > 4) {
    matrix[3] = matrix[1] * 2;  // the same direction: a tie
    matrix.select(0, shape.rows - 1).copy_(matrix[1]);
    matrix[2].fill_(kNan);
    matrix[4].zero_();
  }
  matrix = matrix.to(shape.type);
  expect_same(nearest(queries, matrix, shape.k), plain_nearest(queries, matrix, shape.k));
}

INSTANTIATE_TEST_SUITE_P(Sizes, Nearest,
                         ::testing::Values(Shape{1, 1, 1, 1}, Shape{3, 7, 5, 99}, Shape{1, 5000, 33, 10},
                                           Shape{300, 2500, 17, 7}, Shape{2, 4096, 64, 1},
                                           Shape{5, 1025, 768, 1025}, Shape{4, 3000, 40, 12, torch::kFloat16},
                                           Shape{1, 3000, 100, 12, torch::kFloat16}, Shape{2, 10, 8, 0},
                                           Shape{0, 10, 8, 3}, Shape{3, 0, 8, 3}));

TEST(NearestRows, EqualScoresComeInTheOrderOfTheMatrix) {
  const torch::Tensor matrix = torch::ones({5000, 24});
  const Neighbors found = nearest(torch::ones({24}) * 3, matrix, 4);
  EXPECT_TRUE(found.indices.equal(torch::tensor({{0, 1, 2, 3}}, torch::kInt64)));
  EXPECT_TRUE(found.scores.eq(1).all().item<bool>());
}

TEST(NearestRows, AreTheBestFirst) {
  const torch::Tensor gallery = torch::tensor({{1.f, 0.f}, {0.f, 1.f}, {1.f, 1.f}, {-1.f, 0.f}});
  const Neighbors best = nearest(torch::tensor({{2.f, 0.f}, {0.f, -3.f}}), gallery, 3);
  EXPECT_TRUE(best.indices.equal(torch::tensor({{0, 2, 1}, {0, 3, 2}}, torch::kInt64)));
  EXPECT_NEAR(best.scores[0][1].item<double>(), std::sqrt(0.5), 1e-6);
  EXPECT_EQ(nearest(gallery, gallery, 99).indices.size(1), 4);
}

TEST(NearestRows, WithoutADirectionAreNeverFoundAndFindNothing) {
  torch::Tensor matrix = torch::eye(4);
  matrix[1].fill_(kNan);
  matrix[2].zero_();
  matrix[3][0] = std::numeric_limits<float>::infinity();
  const Neighbors found = nearest(matrix, matrix, 2);
  EXPECT_TRUE(found.indices.equal(torch::tensor({{0, -1}, {-1, -1}, {-1, -1}, {-1, -1}}, torch::kInt64)));
  EXPECT_TRUE(std::isnan(found.scores[0][1].item<float>()));
}

TEST(NearestRows, OfAnyLengthAreFound) {
  const torch::Tensor matrix = torch::tensor({{1e25f, 0.f}, {1e-25f, 1e-25f}, {0.f, 1.f}});
  const Neighbors found = nearest(torch::tensor({3e22f, 1e22f}), matrix, 3);
  EXPECT_TRUE(found.indices.equal(torch::tensor({{0, 1, 2}}, torch::kInt64)));
}

TEST(NearestRows, DoNotDependOnThreadsOrStrides) {
  torch::manual_seed(4);
  const torch::Tensor queries = torch::randn({9, 48}), matrix = torch::randn({4100, 48});
  const Neighbors alone = nearest(queries, matrix, 5);
  const torch::Tensor columns = matrix.t().contiguous().t();  // of other strides
  EXPECT_TRUE(nearest(queries, columns, 5).scores.equal(alone.scores));
  std::vector<Neighbors> found(8);
  std::vector<std::thread> threads;
  for (Neighbors& mine : found) threads.emplace_back([&] { mine = nearest(queries, matrix, 5); });
  for (std::thread& thread : threads) thread.join();
  for (const Neighbors& mine : found) {
    EXPECT_TRUE(mine.indices.equal(alone.indices));
    EXPECT_TRUE(mine.scores.equal(alone.scores));
  }
}

TEST(NearestRows, WhatCannotBeComparedIsRefusedByOurErrors) {
  const torch::Tensor matrix = torch::ones({3, 4});
  EXPECT_THAT(message_from<Error>([&] { nearest(torch::ones({5}), matrix, 1); }),
              ::testing::HasSubstr("5 numbers each, the matrix 4"));
  EXPECT_THROW(nearest(torch::ones({4}), torch::ones({4}), 1), Error);
  EXPECT_THROW(nearest(torch::ones({4}, torch::kInt64), matrix, 1), Error);
  EXPECT_THROW(nearest(torch::Tensor(), matrix, 1), Error);
  EXPECT_THROW(nearest(torch::ones({4}), matrix, -1), Error);
}

TEST(MapEmbeddings, GivesTheFilesMatrixForAsLongAsItIsHeld) {
  TemporaryFolder folder;
  torch::manual_seed(5);
  const torch::Tensor video = torch::randn({100, 24}), half = torch::randn({7, 24}).to(torch::kFloat16);
  const auto file = folder / "e.safetensors";
  write_safetensors(file, {{"bytes", torch::ones({3}, torch::kUInt8)}, {"video", video}, {"half", half}});
  torch::Tensor mapped = map_embeddings(file, "video");
  const torch::Tensor mapped_half = map_embeddings(file, "half");
  std::filesystem::remove(file);
  EXPECT_TRUE(mapped.equal(video));
  EXPECT_TRUE(mapped_half.equal(half));
  expect_same(nearest(video, mapped, 3), plain_nearest(video, video, 3));
  mapped[0].zero_();  // is this process's own
  EXPECT_FALSE(mapped.equal(video));
}

TEST(MapEmbeddings, WhatIsNoMatrixIsRefused) {
  TemporaryFolder folder;
  const auto file = folder / "e.safetensors";
  write_safetensors(file, {{"video", torch::ones({3})}, {"audio", torch::ones({2, 2})}});
  EXPECT_THAT(message_from<CheckpointError>([&] { map_embeddings(file, "video"); }),
              ::testing::HasSubstr("expected float32 or float16 [N, D]"));
  EXPECT_THAT(message_from<CheckpointError>([&] { map_embeddings(file, "audo"); }),
              ::testing::HasSubstr("did you mean 'audio'?"));
  EXPECT_THROW(map_embeddings(folder / "none.safetensors", "audio"), CheckpointError);
}

}  // namespace
}  // namespace cavmae
