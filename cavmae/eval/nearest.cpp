#include "cavmae/eval/nearest.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <mutex>
#include <vector>

#include "cavmae/core/own_errors.h"
#include "cavmae/core/parallel.h"
#include "cavmae/kernels/row_products.h"

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

// The length of a row whose square it is, NaN of what has no direction.
double length_of(double square) {
  const double length = std::sqrt(square);
  return std::isfinite(length) && length > 0 ? length : kNan;
}

// Queries as float, with their lengths and as vectors of length 1 (zeros for those without a direction).
struct Queries {
  torch::Tensor values;         // float [Q, D], contiguous
  std::vector<double> lengths;  // [Q]
  torch::Tensor directions;     // float [Q, D]

  explicit Queries(const torch::Tensor& given) : values(given.to(torch::kFloat32).contiguous()) {
    for (int64_t q = 0; q < values.size(0); ++q) {
      double product = 0, square = 0;
      kernels::row_products().exact_of_floats(
          {.rows = row(q), .stride = width(), .width = width(), .num_rows = 1}, row(q), &product, &square);
      lengths.push_back(length_of(square));
    }
    const torch::Tensor column = torch::tensor(lengths, torch::kFloat64).unsqueeze(1).nan_to_num(/*nan=*/1.0);
    directions = (values.to(torch::kFloat64) / column).to(torch::kFloat32);
  }
  int64_t width() const { return values.size(1); }
  int64_t size() const { return values.size(0); }
  const float* row(int64_t q) const { return values.data_ptr<float>() + q * width(); }
};

// Which rows of the matrix may be found: those that are listed, or all; of them those that are selected.
struct Candidates {
  const int64_t* listed = nullptr;  // [count], ascending; null: 0, 1, 2 ...
  const bool* selected = nullptr;   // [N]; null: all
  int64_t count = 0;

  // Those among the places [begin, end).
  void rows(int64_t begin, int64_t end, std::vector<int64_t>& out) const {
    out.clear();
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = listed != nullptr ? listed[i] : i;
      if (selected == nullptr || selected[row]) out.push_back(row);
    }
  }
};

// Note [Exact and fast]: products with a block of rows, and the lengths of these, come from one pass over
// them in float. Only a row whose score could lie at or above a query's threshold, given how far rounding may
// have led it off, is computed again in double. Rows so long or short that a float overflows always are.
class Search {
 public:
  Search(const Queries& queries, const torch::Tensor& matrix, const Candidates& candidates, int64_t k)
      : queries_(queries), matrix_(matrix), candidates_(candidates), k_(k) {}

  // Among the candidates [begin, end).
  std::vector<Best> operator()(int64_t begin, int64_t end) const {
    std::vector<Best> best(static_cast<size_t>(queries_.size()), Best(k_));
    std::vector<int64_t> rows;
    for (int64_t first = begin; first < end; first += kBlockRows) {
      candidates_.rows(first, std::min(first + kBlockRows, end), rows);
      if (rows.empty()) continue;
      const bool in_place = queries_.size() == 1 && matrix_.stride(1) == 1;
      if (!in_place)
        search_copied(rows, best);
      else if (matrix_.scalar_type() == torch::kFloat16)
        search_in_place(reinterpret_cast<const kernels::HalfBits*>(matrix_.data_ptr<at::Half>()), rows,
                        best[0]);
      else
        search_in_place(matrix_.data_ptr<float>(), rows, best[0]);
    }
    return best;
  }

 private:
  // A dot product in float is off by no more than so many roundings of the lengths' product, and a length by
  // half as many of itself.
  float margin() const {
    return static_cast<float>(queries_.width() + 16) * 3 * std::numeric_limits<float>::epsilon();
  }

  // What decides which rows of a block are computed again.
  class Sieve {
   public:
    Sieve(const Search& search, int64_t query, Best& best)
        : search_(search), query_(query), best_(best), least_(best.threshold() - search.margin()) {}

    template <class Number>
    void offer(float product, float square, int64_t index, const Number* row) {
      if (std::isnan(square)) return;
      constexpr float kShort = 1e-30f, kLong = 1e30f;
      if (square > kShort && square < kLong && product < least_ * std::sqrt(square)) return;
      double exact_product = 0, exact_square = 0;
      const int64_t width = search_.queries_.width();
      multiply_exactly(kernels::ManyRows<Number>{.rows = row, .stride = width, .width = width, .num_rows = 1},
                       search_.queries_.row(query_), exact_product, exact_square);
      const double length = length_of(exact_square);
      if (std::isnan(length)) return;
      const double cosine = exact_product / (search_.queries_.lengths[static_cast<size_t>(query_)] * length);
      best_.offer({.score = static_cast<float>(cosine), .row = index});
      least_ = best_.threshold() - search_.margin();
    }

   private:
    const Search& search_;
    int64_t query_;
    Best& best_;
    float least_;
  };

  static void multiply(const kernels::ManyRows<float>& rows, const float* vector, float* products,
                       float* squares) {
    kernels::row_products().of_floats(rows, vector, products, squares);
  }
  static void multiply(const kernels::ManyRows<kernels::HalfBits>& rows, const float* vector, float* products,
                       float* squares) {
    kernels::row_products().of_halfs(rows, vector, products, squares);
  }
  static void multiply_exactly(const kernels::ManyRows<float>& row, const float* vector, double& product,
                               double& square) {
    kernels::row_products().exact_of_floats(row, vector, &product, &square);
  }
  static void multiply_exactly(const kernels::ManyRows<kernels::HalfBits>& row, const float* vector,
                               double& product, double& square) {
    kernels::row_products().exact_of_halfs(row, vector, &product, &square);
  }

  // One query, and rows where they lie.
  template <class Number>
  void search_in_place(const Number* matrix, const std::vector<int64_t>& rows, Best& best) const {
    if (std::isnan(queries_.lengths[0])) return;
    const auto count = static_cast<int64_t>(rows.size());
    const bool in_a_row = rows.back() - rows.front() + 1 == count;
    const int64_t stride = matrix_.stride(0);
    const kernels::ManyRows<Number> many{.rows = in_a_row ? matrix + rows.front() * stride : matrix,
                                         .stride = stride,
                                         .width = queries_.width(),
                                         .num_rows = count,
                                         .indices = in_a_row ? nullptr : rows.data()};
    std::array<float, kBlockRows> products, squares;
    multiply(many, queries_.directions.data_ptr<float>(), products.data(), squares.data());
    Sieve sieve(*this, 0, best);
    for (int64_t r = 0; r < count; ++r) sieve.offer(products[r], squares[r], rows[r], many.row(r));
  }

  // Several queries: a matrix product with a copy of the rows.
  void search_copied(const std::vector<int64_t>& rows, std::vector<Best>& best) const {
    const auto count = static_cast<int64_t>(rows.size());
    const bool in_a_row = rows.back() - rows.front() + 1 == count;
    const torch::Tensor values = (in_a_row ? matrix_.narrow(0, rows.front(), count)
                                           : matrix_.index_select(0, torch::tensor(rows, torch::kInt64)))
                                     .to(torch::kFloat32)
                                     .contiguous();
    const int64_t width = queries_.width();
    std::array<float, kBlockRows> unused, squares;
    multiply(
        kernels::ManyRows<float>{
            .rows = values.data_ptr<float>(), .stride = width, .width = width, .num_rows = count},
        queries_.directions.data_ptr<float>(), unused.data(), squares.data());
    for (int64_t first = 0; first < queries_.size(); first += kBlockQueries) {
      const torch::Tensor some =
          queries_.directions.narrow(0, first, std::min(kBlockQueries, queries_.size() - first));
      const torch::Tensor products = some.matmul(values.t()).contiguous();
      for (int64_t q = 0; q < some.size(0); ++q) {
        const auto query = static_cast<size_t>(first + q);
        if (std::isnan(queries_.lengths[query])) continue;
        const float* of_query = products.data_ptr<float>() + q * count;
        Sieve sieve(*this, first + q, best[query]);
        for (int64_t r = 0; r < count; ++r)
          sieve.offer(of_query[r], squares[r], rows[r], values.data_ptr<float>() + r * width);
      }
    }
  }

  const Queries& queries_;
  torch::Tensor matrix_;  // float or half [N, D]
  Candidates candidates_;
  int64_t k_;
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
                 const Candidates& candidates) {
  const Queries queries((given.dim() == 1 ? given.unsqueeze(0) : given).detach().cpu());
  const int64_t k = std::min(wanted, candidates.count);
  std::vector<Best> best(queries.lengths.size(), Best(k));
  if (k == 0 || queries.size() == 0) return to_tensors(best, k);
  const Search search(queries, matrix.detach(), candidates, k);
  std::mutex mutex;
  at::parallel_for(0, candidates.count, kBlockRows, [&](int64_t begin, int64_t end) {
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
    check(queries, matrix, k, selected);
    return search(
        queries, matrix, k,
        {.selected = selected.defined() ? selected.data_ptr<bool>() : nullptr, .count = matrix.size(0)});
  });
}

Neighbors nearest_among(const torch::Tensor& queries, const torch::Tensor& matrix, const torch::Tensor& rows,
                        int64_t k) {
  return with_own_errors([&] {
    const torch::NoGradGuard no_grad;
    check(queries, matrix, k, {});
    CAVMAE_CHECK(
        rows.defined() && rows.dim() == 1 && rows.scalar_type() == torch::kInt64 && rows.is_contiguous(),
        "`rows` must be int64 [M]");
    const int64_t count = rows.size(0);
    const int64_t* listed = rows.data_ptr<int64_t>();
    CAVMAE_CHECK(
        count == 0 || (listed[0] >= 0 && listed[count - 1] < matrix.size(0) &&
                       std::adjacent_find(listed, listed + count, std::greater_equal()) == listed + count),
        "`rows` must ascend, from 0 to below the matrix's ", matrix.size(0));
    return search(queries, matrix, k, {.listed = listed, .count = count});
  });
}

torch::Tensor cosine_similarities(const torch::Tensor& query, const torch::Tensor& matrix) {
  return with_own_errors([&] {
    const torch::NoGradGuard no_grad;
    check(query, matrix, 0, {});
    CAVMAE_CHECK(query.dim() == 1 && matrix.is_contiguous() && matrix.scalar_type() == torch::kFloat32,
                 "cosine_similarities: one query, and a matrix of float");
    const Queries queries(query.unsqueeze(0).detach().cpu());
    torch::Tensor products = torch::empty({matrix.size(0)}), squares = torch::empty({matrix.size(0)});
    const int64_t width = matrix.size(1);
    at::parallel_for(0, matrix.size(0), kBlockRows, [&](int64_t begin, int64_t end) {
      kernels::row_products().of_floats({.rows = matrix.data_ptr<float>() + begin * width,
                                         .stride = width,
                                         .width = width,
                                         .num_rows = end - begin},
                                        queries.directions.data_ptr<float>(),
                                        products.data_ptr<float>() + begin,
                                        squares.data_ptr<float>() + begin);
    });
    return (products / squares.sqrt()).nan_to_num(0.0, 0.0, 0.0);
  });
}

}  // namespace cavmae
