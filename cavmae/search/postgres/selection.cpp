#include "cavmae/search/postgres/selection.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "cavmae/core/error.h"
#include "cavmae/eval/nearest.h"
#include "cavmae/search/postgres/texts.h"

namespace cavmae {
namespace {

constexpr int64_t kProposed = 20'000;     // by an index, before comparing all is less work
constexpr int64_t kFetchedAtOnce = 4096;  // vectors that this process compares

bool is_more_similar(const NearMoment& a, const NearMoment& b) {
  return a.similarity != b.similarity ? a.similarity > b.similarity : a.moment.id < b.moment.id;
}

void keep_nearest(std::vector<NearMoment>& found, int64_t k) {
  if (static_cast<int64_t>(found.size()) <= k) return;
  std::ranges::nth_element(found, found.begin() + k, is_more_similar);
  found.resize(static_cast<size_t>(k));
}

// Of rows with the columns of a moment and its similarity. A vector without a direction has none.
std::vector<NearMoment> near_of(const PostgresRows& rows) {
  std::vector<NearMoment> out;
  for (int64_t row = 0; row < rows.size(); ++row) {
    const double similarity = rows.number(row, 4);
    if (std::isfinite(similarity)) out.push_back({.moment = moment_of(rows, row), .similarity = similarity});
  }
  return out;
}

// Of rows with the columns of a moment and its vector.
std::vector<NearMoment> compared(const PostgresRows& rows, const torch::Tensor& query) {
  std::vector<torch::Tensor> vectors;
  for (int64_t row = 0; row < rows.size(); ++row) vectors.push_back(tensor_of_vector_text(rows.text(row, 4)));
  std::vector<NearMoment> out;
  if (vectors.empty()) return out;
  const Neighbors found = nearest(query, torch::stack(vectors), rows.size());
  const int64_t* indices = found.indices.data_ptr<int64_t>();
  for (int64_t i = 0; i < found.indices.numel() && indices[i] >= 0; ++i)
    out.push_back({.moment = moment_of(rows, indices[i]), .similarity = found.scores.data_ptr<float>()[i]});
  return out;
}

// Whether the index can go on until enough was found.
bool has_iterative_scan(PostgresConnection& connection) {
  const PostgresRows rows = connection.run(
      "SELECT string_to_array(extversion, '.')::int[] >= ARRAY[0, 8] FROM pg_extension WHERE extname = 'vector'");
  return rows.size() > 0 && rows.truth(0, 0);
}

}  // namespace

PostgresSelection::PostgresSelection(std::shared_ptr<PostgresSession> session,
                                     std::shared_ptr<const LibrarySnapshot> snapshot,
                                     const SearchScope& scope, int64_t compared_by_server)
    : session_(std::move(session)), snapshot_(std::move(snapshot)), size_(snapshot_->counts().moments) {
  if (!scope.under.empty()) {
    under_ = path_range(scope.under);
    size_ = session_->use([&](PostgresConnection& connection) {
      return connection
          .run(
              "SELECT coalesce(sum(num_moments), 0) FROM cavmae.files WHERE path = $1 OR (path >= $2 AND "
              "path < $3)",
              under_->self, under_->first, under_->behind)
          .integer(0, 0);
    });
  }
  compares_all_ = scope.exact || size_ <= compared_by_server;
}

PostgresSelection::Condition PostgresSelection::in_scope() const {
  if (!under_) return {};
  return {.sql = "file IN (SELECT id FROM cavmae.files WHERE path = $2 OR (path >= $3 AND path < $4))",
          .values = {under_->self, under_->first, under_->behind}};
}

// Through a cursor, so that no more than a part is in memory.
std::vector<NearMoment> PostgresSelection::compare_here(const torch::Tensor& query, ClipSide side, int64_t k,
                                                        const Condition& condition) const {
  const std::string sql = concat("DECLARE vectors NO SCROLL CURSOR FOR SELECT ", kMomentColumns, ", ",
                                 vector_column(snapshot_->settings(), side),
                                 " FROM cavmae.moments WHERE $1::text IS NOT NULL AND ", side_name(side),
                                 " IS NOT NULL AND ", condition.sql);
  return session_->transaction([&](PostgresConnection& connection) {
    std::vector<std::string> values = {""};
    values.insert(values.end(), condition.values.begin(), condition.values.end());
    connection.run_with(sql, values);
    std::vector<NearMoment> best;
    for (;;) {
      const PostgresRows rows = connection.run(concat("FETCH ", kFetchedAtOnce, " FROM vectors"));
      if (rows.size() == 0) return best;
      for (const NearMoment& at : compared(rows, query)) best.push_back(at);
      keep_nearest(best, k);
    }
  });
}

std::vector<NearMoment> PostgresSelection::compare_there(const torch::Tensor& query, ClipSide side, int64_t k,
                                                         const Condition& condition) const {
  const std::string sql = fmt::format(
      "SELECT {0}, 1 - distance FROM (SELECT {0}, {1}::vector <=> $1::vector AS distance FROM cavmae.moments "
      "WHERE {1} IS NOT NULL AND {2}) AS compared ORDER BY distance LIMIT {3}",
      kMomentColumns, side_name(side), condition.sql, k);
  std::vector<std::string> values = {vector_text(query)};
  values.insert(values.end(), condition.values.begin(), condition.values.end());
  return session_->use(
      [&](PostgresConnection& connection) { return near_of(connection.run_with(sql, values)); });
}

// What the index proposes, compared as precisely as above. Fewer than k where it ends too early. "IS TRUE"
// keeps the planner from joining the files in an order of its own.
std::vector<NearMoment> PostgresSelection::by_index(const torch::Tensor& query, ClipSide side, int64_t k,
                                                    int64_t effort) const {
  constexpr int64_t kLeast = 100, kMost = 1000;  // that the index keeps in view: hnsw.ef_search
  constexpr int64_t kLeastVisited = 20'000, kMostVisited = 2'000'000;
  const Condition condition = in_scope();
  const std::string sql = fmt::format(
      "SELECT {0}, 1 - ({1}::vector <=> $1::vector) FROM (SELECT {0}, {1} FROM cavmae.moments WHERE ({2}) IS TRUE "
      "ORDER BY {1} <=> $1::halfvec LIMIT {3}) AS proposed",
      kMomentColumns, side_name(side), condition.sql, k);
  std::vector<std::string> values = {vector_text(query)};
  values.insert(values.end(), condition.values.begin(), condition.values.end());
  return session_->transaction([&](PostgresConnection& connection) -> std::vector<NearMoment> {
    if (has_iterative_scan(connection)) {
      const double share = static_cast<double>(size_) / static_cast<double>(snapshot_->counts().moments + 1);
      const double needed = 4.0 * static_cast<double>(k * effort) / std::max(1e-6, share);
      const double visited =
          std::clamp(needed, static_cast<double>(kLeastVisited), static_cast<double>(kMostVisited));
      connection.execute(
          concat("SET LOCAL hnsw.iterative_scan = relaxed_order; SET LOCAL hnsw.max_scan_tuples = ",
                 std::llround(visited)));
    } else if (under_ || k > kMost) {
      return {};
    }
    connection.execute(concat("SET LOCAL hnsw.ef_search = ", std::clamp(2 * k, kLeast, kMost),
                              "; SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off"));
    return near_of(connection.run_with(sql, values));
  });
}

NearMoments PostgresSelection::nearest(const torch::Tensor& query, const ComparedSides& sides, int64_t k,
                                       int64_t effort) const {
  const ClipSide side = sides.found;
  NearMoments out;
  if (is_text())
    out.found = compare_here(query, side, k, in_scope());
  else if (!compares_all_ && k <= kProposed)
    out.found = by_index(query, side, k, effort);
  if (!is_text() && static_cast<int64_t>(out.found.size()) < k)
    out.found = compare_there(query, side, k, in_scope());
  if (static_cast<int64_t>(out.found.size()) < k) return out;  // these are all
  out.complete_above = std::ranges::min(out.found, {}, &NearMoment::similarity).similarity;
  return out;
}

std::vector<NearMoment> PostgresSelection::compare(const torch::Tensor& query, ClipSide side,
                                                   const torch::Tensor& files) const {
  const std::vector<int64_t> ids(files.data_ptr<int64_t>(), files.data_ptr<int64_t>() + files.numel());
  const Condition condition{.sql = "file = ANY($2::bigint[])",
                            .values = {PostgresConnection::parameter(ids)}};
  constexpr int64_t kAll = std::numeric_limits<int64_t>::max();
  return is_text() ? compare_here(query, side, kAll, condition) : compare_there(query, side, kAll, condition);
}

}  // namespace cavmae
