// What one search may find in a library in PostgreSQL. Private to this folder; safe from several threads.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/search/library_snapshot.h"
#include "cavmae/search/postgres/session.h"
#include "cavmae/search/postgres/tables.h"

namespace cavmae {

// Of so many moments every vector is compared; of more the HNSW index proposes.
constexpr int64_t kComparedByServer = 20'000;

// Note [Nearest in PostgreSQL]: an HNSW index gives what is near among all moments, and what a search is not
// limited to is taken away afterwards, so that of a small folder nothing may be left. Therefore the number of
// moments decides: few are all compared (ORDER BY over an expression, which no index has); among many the
// index goes on until there are enough (pgvector 0.8: hnsw.iterative_scan), and where it ends too early, or
// cannot go on, all are compared. Vectors in columns of text are compared by this process.
class PostgresSelection : public MomentSelection {
 public:
  PostgresSelection(std::shared_ptr<PostgresSession> session, std::shared_ptr<const LibrarySnapshot> snapshot,
                    const SearchScope& scope, int64_t compared_by_server);

  const LibrarySnapshot& snapshot() const override { return *snapshot_; }
  int64_t size() const override { return size_; }
  bool compares_all() const override { return compares_all_ || is_text(); }
  NearMoments nearest(const torch::Tensor& query, const ComparedSides& sides, int64_t k,
                      int64_t effort) const override;
  std::vector<NearMoment> compare(const torch::Tensor& query, ClipSide side,
                                  const torch::Tensor& files) const override;

 private:
  // A condition on moments, and the values of its parameters $2 and so on; $1 is the query.
  struct Condition {
    std::string sql = "true";
    std::vector<std::string> values = {};
  };
  bool is_text() const { return snapshot_->settings().vectors == VectorType::text; }
  Condition in_scope() const;
  std::vector<NearMoment> compare_here(const torch::Tensor& query, ClipSide side, int64_t k,
                                       const Condition& condition) const;
  std::vector<NearMoment> compare_there(const torch::Tensor& query, ClipSide side, int64_t k,
                                        const Condition& condition) const;
  std::vector<NearMoment> by_index(const torch::Tensor& query, ClipSide side, int64_t k,
                                   int64_t effort) const;

  std::shared_ptr<PostgresSession> session_;
  std::shared_ptr<const LibrarySnapshot> snapshot_;
  std::optional<PathRange> under_;
  int64_t size_ = 0;
  bool compares_all_ = false;
};

}  // namespace cavmae
