#include "cavmae/eval/nearest.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <vector>

#include "cavmae/core/own_errors.h"
#include "cavmae/core/parallel.h"

namespace cavmae {
namespace {

constexpr int64_t kBlockRows = 1024;    // of the matrix: a few MB, so that they stay in the cache
constexpr int64_t kBlockQueries = 256;  // 1 MiB of scores a thread
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct Found {
  float score;
  int64_t row;

  bool operator<(const Found& other) const {  // better first
    return score > other.score || (score == other.score && row < other.row);
  }
};

// The best answers to one query so far.
class Best {
 public:
  explicit Best(int64_t k) : k_(static_cast<size_t>(k)) {}

  // What a row's score must reach to be among them.
  float threshold() const {
    return heap_.size() < k_ ? -std::numeric_limits<float>::infinity() : heap_.front().score;
  }

  void offer(const Found& found) {
    if (heap_.size() == k_) {
      if (!(found < heap_.front())) return;
      std::pop_heap(heap_.begin(), heap_.end());  // the worst
      heap_.pop_back();
    }
    heap_.push_back(found);
    std::push_heap(heap_.begin(), heap_.end());
  }

  void take_over(const Best& other) {
    for (const Found& found : other.heap_) offer(found);
  }

  std::vector<Found> sorted() const {
    std::vector<Found> out = heap_;
    std::sort(out.begin(), out.end());
    return out;
  }

 private:
  size_t k_;
  std::vector<Found> heap_;  // the worst in front
};

// x . y in double, in one order of summation wherever the rows lie.
double dot(const float* x, const float* y, int64_t width) {
  constexpr int64_t kSums = 8;
  double sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= width; i += kSums)
    for (int64_t j = 0; j < kSums; ++j)
      sums[j] += static_cast<double>(x[i + j]) * static_cast<double>(y[i + j]);
  for (; i < width; ++i) sums[0] += static_cast<double>(x[i]) * static_cast<double>(y[i]);
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

// NaN for what has no direction.
double length(const float* x, int64_t width) {
  const double length = std::sqrt(dot(x, x, width));
  return std::isfinite(length) && length > 0 ? length : kNan;
}

// Rows of float with their lengths.
struct Rows {
  torch::Tensor values;        // float [n, D], contiguous
  std::vector<double> length;  // [n]
  const float* row(int64_t i) const { return values.data_ptr<float>() + i * values.size(1); }
};

Rows with_lengths(const torch::Tensor& matrix) {
  Rows out{.values = matrix.to(torch::kFloat32).contiguous(), .length = {}};
  const int64_t width = out.values.size(1);
  for (int64_t i = 0; i < out.values.size(0); ++i) out.length.push_back(length(out.row(i), width));
  return out;
}

// Note [Exact and fast]: the scores of a block come from one matrix product in float. Only a row whose score
// could lie at or above a query's threshold, given how far rounding may have led it off, is computed again in
// double. Rows so long or short that a float overflows always are.
struct Search {
  const Rows& queries;
  torch::Tensor directions;  // float [Q, D]: queries of length 1, zeros for those without a direction
  torch::Tensor matrix;      // float or half [N, D]
  const bool* selected;      // [N], or null: all
  int64_t k;

  int64_t width() const { return directions.size(1); }
  float margin() const {
    return static_cast<float>(width() + 16) * 2 * std::numeric_limits<float>::epsilon();
  }

  // Rows begin to end - 1 of the matrix.
  std::vector<Best> operator()(int64_t begin, int64_t end) const {
    const int64_t num_queries = directions.size(0);
    std::vector<Best> best(static_cast<size_t>(num_queries), Best(k));
    for (int64_t first = begin; first < end; first += kBlockRows) {
      const int64_t block_end = std::min(first + kBlockRows, end);
      if (selected != nullptr &&
          std::find(selected + first, selected + block_end, true) == selected + block_end)
        continue;
      const Rows rows = with_lengths(matrix.narrow(0, first, std::min(kBlockRows, end - first)));
      for (int64_t query = 0; query < num_queries; query += kBlockQueries)
        search_block(rows, first, query, best);
    }
    return best;
  }

 private:
  void search_block(const Rows& rows, int64_t first_row, int64_t first_query, std::vector<Best>& best) const {
    const torch::Tensor some =
        directions.narrow(0, first_query, std::min(kBlockQueries, directions.size(0) - first_query));
    const torch::Tensor products =
        some.size(0) == 1 ? rows.values.mv(some[0]).unsqueeze(0) : some.matmul(rows.values.t()).contiguous();
    const int64_t num_rows = products.size(1);
    for (int64_t q = 0; q < some.size(0); ++q) {
      const int64_t query = first_query + q;
      if (std::isnan(queries.length[query])) continue;
      const float* scores = products.data_ptr<float>() + q * num_rows;
      Best& of_query = best[query];
      float least = of_query.threshold() - margin();
      for (int64_t r = 0; r < num_rows; ++r) {
        const double length = rows.length[r];
        if (selected != nullptr && !selected[first_row + r]) continue;
        if (scores[r] < least * length && length < 1e18 && length > 1e-18) continue;
        if (std::isnan(length)) continue;
        const double cosine =
            dot(queries.row(query), rows.row(r), width()) / (queries.length[query] * length);
        of_query.offer({.score = static_cast<float>(cosine), .row = first_row + r});
        least = of_query.threshold() - margin();
      }
    }
  }
};

void check(const torch::Tensor& queries, const torch::Tensor& matrix, int64_t k,
           const torch::Tensor& selected) {
  const auto is_usable = [](const torch::Tensor& x) {
    return x.defined() && (x.scalar_type() == torch::kFloat32 || x.scalar_type() == torch::kFloat16);
  };
  CAVMAE_CHECK(is_usable(queries) && (queries.dim() == 1 || queries.dim() == 2),
               "queries must be float or half, [Q, D] or [D]");
  CAVMAE_CHECK(is_usable(matrix) && matrix.dim() == 2 && matrix.device().is_cpu(),
               "the matrix must be float or half, [N, D], on the CPU");
  CAVMAE_CHECK(queries.size(-1) == matrix.size(1), "the queries have ", queries.size(-1),
               " numbers each, the matrix ", matrix.size(1), " a row; both must come from one model");
  CAVMAE_CHECK(k >= 0, "k is ", k, "; it must be at least 0");
  CAVMAE_CHECK(!selected.defined() || (selected.scalar_type() == torch::kBool && selected.is_contiguous() &&
                                       selected.sizes() == torch::IntArrayRef({matrix.size(0)})),
               "`selected` must be bool [N]");
}

Neighbors to_tensors(const std::vector<Best>& best, int64_t k) {
  const auto num_queries = static_cast<int64_t>(best.size());
  Neighbors out{.indices = torch::full({num_queries, k}, -1, torch::kInt64),
                .scores = torch::full({num_queries, k}, kNan, torch::kFloat32)};
  for (int64_t q = 0; q < num_queries; ++q) {
    int64_t* indices = out.indices.data_ptr<int64_t>() + q * k;
    float* scores = out.scores.data_ptr<float>() + q * k;
    for (const Found& found : best[q].sorted()) *indices++ = found.row, *scores++ = found.score;
  }
  return out;
}

Neighbors search(const torch::Tensor& given, const torch::Tensor& matrix, int64_t wanted,
                 const torch::Tensor& selected) {
  check(given, matrix, wanted, selected);
  const Rows queries = with_lengths((given.dim() == 1 ? given.unsqueeze(0) : given).detach().cpu());
  const auto num_queries = static_cast<int64_t>(queries.length.size());
  const int64_t k = std::min(wanted, matrix.size(0));
  std::vector<Best> best(queries.length.size(), Best(k));
  if (k == 0 || num_queries == 0) return to_tensors(best, k);
  const torch::Tensor lengths =
      torch::tensor(queries.length, torch::kFloat64).unsqueeze(1).nan_to_num(/*nan=*/1.0);
  const Search search{.queries = queries,
                      .directions = (queries.values.to(torch::kFloat64) / lengths).to(torch::kFloat32),
                      .matrix = matrix.detach(),
                      .selected = selected.defined() ? selected.data_ptr<bool>() : nullptr,
                      .k = k};
  std::mutex mutex;
  at::parallel_for(0, matrix.size(0), kBlockRows, [&](int64_t begin, int64_t end) {
    const torch::NoGradGuard no_grad;
    const std::vector<Best> part = search(begin, end);
    const std::lock_guard lock(mutex);
    for (size_t q = 0; q < best.size(); ++q) best[q].take_over(part[q]);
  });
  return to_tensors(best, k);
}

}  // namespace

Neighbors nearest(const torch::Tensor& queries, const torch::Tensor& matrix, int64_t k,
                  const torch::Tensor& selected) {
  return with_own_errors([&] {
    const torch::NoGradGuard no_grad;
    return search(queries, matrix, k, selected);
  });
}

}  // namespace cavmae
