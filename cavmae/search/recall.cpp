#include "cavmae/search/recall.h"

#include <algorithm>
#include <utility>

namespace cavmae {
namespace {

constexpr size_t kNeighbors = 10;
constexpr int64_t kLookedAt = 64;  // moments, as a search for a few files does

// The similarities of the nearest, the largest first.
std::vector<double> nearest_similarities(const NearMoments& near) {
  std::vector<double> out;
  for (const NearMoment& at : near.found) out.push_back(at.similarity);
  std::ranges::sort(out, std::ranges::greater());
  if (out.size() > kNeighbors) out.resize(kNeighbors);
  return out;
}

}  // namespace

std::vector<IndexRecall> measure_recall(LibraryReader& library, int64_t num_queries,
                                        const std::function<bool(int64_t, int64_t)>& goes_on) {
  const torch::NoGradGuard no_grad;
  const auto indexed = library.select({}), exact = library.select({.exact = true});
  if (indexed->compares_all()) return {};
  std::vector<std::pair<ClipSide, torch::Tensor>> queries;
  int64_t total = 0, done = 0;
  for (const ClipSide side : {ClipSide::audio, ClipSide::video}) {
    const torch::Tensor& sample = indexed->snapshot().sample(side);
    if (sample.size(0) == 0) continue;
    queries.emplace_back(side, sample.narrow(0, 0, std::min(num_queries, sample.size(0))));
    total += queries.back().second.size(0);
  }
  total *= static_cast<int64_t>(queries.size());
  std::vector<IndexRecall> out;
  for (const auto& [query_side, vectors] : queries) {
    for (const auto& [found_side, others] : queries) {
      int64_t right = 0, wanted = 0;
      for (int64_t q = 0; q < vectors.size(0); ++q) {
        constexpr int64_t kEffort = 1;
        const ComparedSides sides{.query = query_side, .found = found_side};
        const auto found = nearest_similarities(indexed->nearest(vectors[q], sides, kLookedAt, kEffort));
        const auto truth = nearest_similarities(exact->nearest(vectors[q], sides, kLookedAt, kEffort));
        wanted += static_cast<int64_t>(truth.size());
        if (!truth.empty())
          right += std::ranges::count_if(found, [&](double s) { return s >= truth.back(); });
        if (!goes_on(++done, total)) return {};
      }
      out.push_back(
          {.query = query_side,
           .found = found_side,
           .at_10 = static_cast<double>(right) / static_cast<double>(std::max<int64_t>(1, wanted))});
    }
  }
  return out;
}

}  // namespace cavmae
