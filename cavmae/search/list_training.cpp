#include "cavmae/search/list_training.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include <faiss/Clustering.h>
#include <faiss/IndexFlat.h>
#include <faiss/VectorTransform.h>
#include <faiss/impl/ProductQuantizer.h>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

constexpr int64_t kVectorsPerList = 64;  // in training; the sizes that FAISS advises are 39 to 256
constexpr int64_t kLeastVectorsPerList = 39;
constexpr int64_t kProjectedWidth = 128;
constexpr int64_t kPartWidth = 8;  // of a product code
constexpr int64_t kPartValues = 256;
constexpr int64_t kQueries = 256;
constexpr int64_t kNeighbors = 10;
constexpr double kRecall = 0.98;

int64_t lists_for(int64_t num_vectors) {
  const auto lists = static_cast<int64_t>(4 * std::sqrt(static_cast<double>(num_vectors)));
  return std::max<int64_t>(1, std::min(lists, num_vectors / kLeastVectorsPerList));
}

// The directions in which these vectors differ most, float [P, D]; undefined where they are no more than
// that.
torch::Tensor find_projection(const torch::Tensor& vectors) {
  const int64_t width = vectors.size(1);
  if (width <= kProjectedWidth) return {};
  const torch::Tensor moments = vectors.t().matmul(vectors);
  const auto [values, directions] = torch::linalg_eigh(moments);  // in columns, the smallest first
  return directions.narrow(1, width - kProjectedWidth, kProjectedWidth).t().contiguous();
}

// Undefined where it was stopped.
torch::Tensor train_centers(const torch::Tensor& vectors, int64_t num_lists, const ListTraining& options) {
  const auto width = static_cast<int>(vectors.size(1));
  faiss::ClusteringParameters parameters;
  parameters.niter = 1;  // a round a call, which goes on from the centres of the one before
  parameters.spherical = true;
  parameters.seed = static_cast<int>(options.seed);
  parameters.max_points_per_centroid = static_cast<int>(kVectorsPerList);
  parameters.min_points_per_centroid = 1;
  faiss::Clustering clustering(width, static_cast<int>(num_lists), parameters);
  for (int round = 0; round < kListRounds; ++round) {
    faiss::IndexFlatIP assignment(width);
    clustering.train(vectors.size(0), vectors.data_ptr<float>(), assignment);
    if (!options.after_round()) return {};
  }
  return torch::from_blob(clustering.centroids.data(), {num_lists, vectors.size(1)}).clone();
}

struct Codes {
  torch::Tensor rotation, codebooks;
};

Codes train_codes(const torch::Tensor& vectors) {
  const int64_t width = vectors.size(1);
  int64_t part = kPartWidth;
  while (width % part != 0) part /= 2;
  const auto parts = static_cast<int>(width / part);
  faiss::ProductQuantizer of_rotation(static_cast<size_t>(width), static_cast<size_t>(parts), 8);
  of_rotation.cp.min_points_per_centroid = 1;  // else FAISS writes to stderr of small libraries
  faiss::OPQMatrix rotation(static_cast<int>(width), parts);
  rotation.pq = &of_rotation;
  rotation.niter = 8;
  rotation.max_train_points = 1 << 15;
  rotation.train(vectors.size(0), vectors.data_ptr<float>());
  Codes out;
  out.rotation = torch::from_blob(rotation.A.data(), {width, width}).clone();
  const torch::Tensor turned = vectors.matmul(out.rotation.t()).contiguous();
  faiss::ProductQuantizer quantizer(static_cast<size_t>(width), static_cast<size_t>(parts), 8);
  quantizer.cp.min_points_per_centroid = 1;
  quantizer.train(static_cast<size_t>(turned.size(0)), turned.data_ptr<float>());
  out.codebooks = torch::from_blob(quantizer.centroids.data(), {parts, kPartValues, part}).clone();
  return out;
}

// Evenly spread rows.
torch::Tensor some_rows(const torch::Tensor& rows, int64_t count) {
  const int64_t n = std::min(count, rows.size(0));
  return n == 0 ? rows
                : rows.index_select(0, (torch::arange(n, torch::kInt64) * rows.size(0)).div(n, "floor"));
}

// How many lists hold what is nearest to these queries; 0: there are none. list_of: int64 [n], of the vectors
int64_t probe_for(const torch::Tensor& vectors, const torch::Tensor& list_of, const ListModel& lists,
                  const torch::Tensor& queries) {
  if (queries.size(0) == 0) return 0;
  const int64_t k = std::min(kNeighbors, vectors.size(0));
  const torch::Tensor nearest = std::get<1>(queries.matmul(vectors.t()).topk(k, 1));  // [Q, k]
  const torch::Tensor order = lists.projected(queries)
                                  .matmul(lists.centers().t())
                                  .argsort(1, /*descending=*/true)
                                  .argsort(1, /*descending=*/false);
  // At which place of the query's order of lists each neighbour's list stands.
  const torch::Tensor place =
      order.gather(1, list_of.index_select(0, nearest.flatten()).view({queries.size(0), k}));
  const auto sorted = std::get<0>(place.flatten().sort());
  const auto last = static_cast<int64_t>(std::ceil(kRecall * static_cast<double>(sorted.size(0)))) - 1;
  return sorted[std::max<int64_t>(0, last)].item<int64_t>() + 1;
}

// Of the vectors that these queries' lists hold, how many are better by their codes than 98 of 100 of the ten
// nearest; as a share of all vectors. list_of: int64 [n]. A query that is one of the vectors does not count
// as its own neighbour.
double compared_share_for(const torch::Tensor& vectors, const torch::Tensor& list_of,
                          const torch::Tensor& codes, const ListModel& lists, const torch::Tensor& queries,
                          int64_t probe) {
  constexpr float kItself = 1 - 1e-6f;
  const int64_t k = std::min(kNeighbors + 1, vectors.size(0)), parts = codes.size(1);
  const auto [similarity, nearest] = queries.matmul(vectors.t()).topk(k, 1);  // [Q, k]
  const int64_t* list = list_of.data_ptr<int64_t>();
  const uint8_t* code = codes.data_ptr<uint8_t>();
  std::vector<int64_t> better;
  for (int64_t q = 0; q < queries.size(0); ++q) {
    const torch::Tensor products = lists.code_products(queries[q]);
    std::vector<bool> is_probed(static_cast<size_t>(lists.num_lists()), false);
    const torch::Tensor probed = lists.nearest_lists(queries[q], probe);
    for (int64_t i = 0; i < probed.size(0); ++i)
      is_probed[static_cast<size_t>(probed[i].item<int64_t>())] = true;
    const auto is_compared = [&](int64_t row) {
      return list[row] >= 0 && is_probed[static_cast<size_t>(list[row])];
    };
    const auto score = [&](int64_t row) {
      return product_of_code(products.data_ptr<float>(), code + row * parts, parts);
    };
    std::vector<float> scores;
    for (int64_t row = 0; row < vectors.size(0); ++row)
      if (is_compared(row)) scores.push_back(score(row));
    std::ranges::sort(scores, std::ranges::greater());
    for (int64_t i = 0; i < k; ++i) {
      const int64_t row = nearest[q][i].item<int64_t>();
      if (similarity[q][i].item<float>() > kItself || !is_compared(row)) continue;
      better.push_back(std::ranges::lower_bound(scores, score(row), std::ranges::greater()) - scores.begin());
    }
  }
  if (better.empty()) return 0.0;
  std::ranges::sort(better);
  const auto place = static_cast<size_t>(std::ceil(kRecall * static_cast<double>(better.size()))) - 1;
  return static_cast<double>(better[place] + 1) / static_cast<double>(vectors.size(0));
}

}  // namespace

int64_t training_size(int64_t num_vectors) {
  return std::min(num_vectors, kVectorsPerList * lists_for(num_vectors));
}

ListModel train_lists(const torch::Tensor& vectors, const torch::Tensor& others,
                      const ListTraining& options) {
  CAVMAE_CHECK(vectors.dim() == 2 && vectors.size(0) >= 1, "train_lists: no vectors");
  const torch::Tensor rows = vectors.to(torch::kFloat32).contiguous();
  const int64_t num_lists = std::min(lists_for(options.num_vectors), rows.size(0));
  const torch::Tensor projection = find_projection(rows);
  ListModel lists(projection, {}, {});
  const torch::Tensor centers = train_centers(lists.projected(rows), num_lists, options);
  if (!centers.defined()) return {};
  lists = ListModel(projection, centers, {});
  const torch::Tensor list_of = lists.lists_of(rows);
  ListModel out(projection, centers,
                {.same_side = probe_for(rows, list_of, lists, some_rows(rows, kQueries)),
                 .other_side = probe_for(rows, list_of, lists, some_rows(others, kQueries))});
  if (options.codes && rows.size(0) >= kPartValues) {
    const Codes codes = train_codes(rows);
    out.set_codes(codes.rotation, codes.codebooks, /*compared_share=*/0.0);
    const torch::Tensor codes_of_rows = out.codes_of(rows);
    double share = 0.0;
    for (const bool is_same_side : {true, false}) {
      const torch::Tensor queries = some_rows(is_same_side ? rows : others, kQueries);
      if (queries.size(0) > 0)
        share = std::max(
            share, compared_share_for(rows, list_of, codes_of_rows, out, queries, out.probe(is_same_side)));
    }
    out.set_codes(codes.rotation, codes.codebooks, share);
  }
  return out;
}

}  // namespace cavmae
