#include "cavmae/search/postgres/claims.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>
#include <unordered_map>

#include "cavmae/core/error.h"
#include "cavmae/search/postgres/schema.h"
#include "cavmae/search/postgres/texts.h"

namespace cavmae {
namespace {

// Files that are looked at for one that is free.
constexpr size_t kLookedAt = 64;

std::string lines_of(const std::vector<IndexJob>& jobs) {
  std::string lines;
  for (size_t i = 0; i < jobs.size(); ++i)
    lines += concat(i, '\t', copy_field(path_to_text(jobs[i].path)), '\t',
                    copy_field(path_to_text(jobs[i].audio_path)), '\t',
                    copy_field(path_to_text(jobs[i].stamp)), '\n');
  return lines;
}

// What others left who are no more, where nobody else is at work.
void forget_if_alone(PostgresConnection& connection, int64_t worker) {
  connection.run(
      "DELETE FROM cavmae.work WHERE NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND database = "
      "(SELECT oid FROM pg_database WHERE datname = current_database()) AND classid::bigint = $1 AND objsubid = 2 "
      "AND granted AND objid::bigint NOT IN ($2, $3))",
      kPostgresLocks, worker, kLockOfTables);
}

}  // namespace

void PostgresWorker::begin(PostgresConnection& connection) {
  const int64_t number = connection.run("SELECT nextval('cavmae.worker_ids')").integer(0, 0);
  connection.run("SELECT pg_advisory_lock($1::int, $2::int)", kPostgresLocks, number);
  if (const int64_t former = number_; former != 0)
    connection.run("UPDATE cavmae.work SET worker = $1 WHERE worker = $2", number, former);
  number_ = number;
}

std::optional<ClaimRow> hold_claim(PostgresConnection& connection, const std::string& path,
                                   const std::string& audio_path, int64_t worker) {
  const PostgresRows rows = connection.run(
      "SELECT id, worker IS NULL OR worker = $3::int OR pg_try_advisory_xact_lock($4::int, worker) FROM "
      "cavmae.work WHERE path = $1 AND audio_path = $2 FOR UPDATE",
      path_to_text(path), path_to_text(audio_path), worker, kPostgresLocks);
  if (rows.size() == 0) return std::nullopt;
  return ClaimRow{.id = rows.integer(0, 0), .is_free = rows.truth(0, 1)};
}

void drop_claim(PostgresConnection& connection, const std::optional<ClaimRow>& claim) {
  if (claim) connection.run("DELETE FROM cavmae.work WHERE id = $1", claim->id);
}

ClaimedWork::ClaimedWork(std::shared_ptr<PostgresSession> session, const PostgresWorker& worker,
                         const std::vector<IndexJob>& jobs)
    : session_(std::move(session)), worker_(worker) {
  const std::string lines = lines_of(jobs);
  session_->transaction([&](PostgresConnection& connection) {
    waiting_.clear();
    done_.clear();
    forget_if_alone(connection, worker_.number());
    connection.execute(
        "CREATE TEMP TABLE listed (job bigint, path text COLLATE \"C\", audio_path text COLLATE \"C\", stamp text) "
        "ON COMMIT DROP");
    connection.copy_in("COPY listed FROM STDIN", lines);
    connection.execute(
        "INSERT INTO cavmae.work (path, audio_path) SELECT path, audio_path FROM listed WHERE NOT EXISTS (SELECT "
        "FROM cavmae.files WHERE files.path = listed.path AND files.audio_path = listed.audio_path AND "
        "files.stamp = listed.stamp) ORDER BY path, audio_path ON CONFLICT DO NOTHING");
    const PostgresRows rows = connection.run(
        "SELECT job, work.id FROM listed LEFT JOIN cavmae.work USING (path, audio_path) ORDER BY job");
    for (int64_t row = 0; row < rows.size(); ++row) {
      const auto job = static_cast<size_t>(rows.integer(row, 0));
      if (rows.is_null(row, 1))
        done_.push_back(job);
      else
        waiting_.push_back({.id = rows.integer(row, 1), .job = job});
    }
    return true;
  });
}

// Looks at the files in front, none of which was given out: takes one that is free, and tells of those that
// are gone from the table, which others have done. What remains goes to the end.
std::optional<WorkShare::Turn> ClaimedWork::try_next() {
  const size_t count = std::min(kLookedAt, waiting_.size());
  std::vector<int64_t> ids;
  for (size_t i = 0; i < count; ++i) ids.push_back(waiting_[i].id);
  int64_t mine = 0;
  std::set<int64_t> still_there;
  session_->use([&](PostgresConnection& connection) {
    const PostgresRows claimed = connection.run(
        "UPDATE cavmae.work SET worker = $1::int WHERE id = (SELECT id FROM cavmae.work WHERE id = "
        "ANY($2::bigint[]) AND (worker IS NULL OR worker = $1::int OR "
        "pg_try_advisory_xact_lock($3::int, worker)) ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id",
        worker_.number(), ids, kPostgresLocks);
    mine = claimed.size() > 0 ? claimed.integer(0, 0) : 0;
    still_there.clear();
    const PostgresRows rows = connection.run("SELECT id FROM cavmae.work WHERE id = ANY($1::bigint[])", ids);
    for (int64_t row = 0; row < rows.size(); ++row) still_there.insert(rows.integer(row, 0));
    return true;
  });
  std::optional<Turn> turn;
  for (size_t i = 0; i < count; ++i) {
    const Waiting at = waiting_.front();
    waiting_.pop_front();
    if (at.id == mine)
      turn = Turn{.job = at.job};
    else if (!still_there.contains(at.id))
      done_.push_back(at.job);
    else
      waiting_.push_back(at);
  }
  return turn;
}

std::optional<WorkShare::Turn> ClaimedWork::next(const std::function<bool()>& wanted) {
  constexpr std::chrono::milliseconds kBetween{200};
  if (told_to_wait_.exchange(false)) std::this_thread::sleep_for(kBetween);
  for (size_t looked_at = 0; wanted(); looked_at += kLookedAt) {
    const std::lock_guard lock(mutex_);
    if (done_.empty() && waiting_.empty()) return std::nullopt;
    if (done_.empty())
      if (const auto turn = try_next()) return turn;
    if (!done_.empty()) {
      const Turn turn{.kind = Kind::done, .job = done_.front()};
      done_.pop_front();
      return turn;
    }
    if (looked_at + kLookedAt >= waiting_.size()) {
      told_to_wait_ = true;
      return Turn{.kind = Kind::wait};
    }
  }
  return std::nullopt;
}

}  // namespace cavmae
