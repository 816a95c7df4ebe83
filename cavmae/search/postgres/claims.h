// Which of the files that are to be added is whose, where several processes fill a library in PostgreSQL.
// Private to this folder; safe from several threads.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/search/index_jobs.h"
#include "cavmae/search/postgres/session.h"
#include "cavmae/search/work_share.h"

namespace cavmae {

// Note [Claims]: cavmae.work has a row for each file that is to be added, and in it the worker that has
// claimed it. A worker is a process with its connection, which holds a lock of PostgreSQL's on the worker's
// number (pg_advisory_lock) for as long as it lasts. Whoever can take that lock knows that the worker is no
// more, and that its claims are free. So a claim needs neither a clock nor a sign of life, one that a killed
// process has left is free at once, and no transaction stays open while a film is embedded; a machine that
// has vanished is noticed by TCP within a minute. A process that has lost its connection is a new worker and
// takes its claims along, unless others were faster; then what it has made of them is dropped
// (PostgresWriter::add_file()).
class PostgresWorker {
 public:
  // A new connection: a new number, locked. What it had claimed by its former one is claimed by this.
  void begin(PostgresConnection& connection);
  int64_t number() const { return number_; }

 private:
  std::atomic<int64_t> number_ = 0;
};

// A file's row in the table.
struct ClaimRow {
  int64_t id = 0;
  bool is_free = false;  // to be written by this worker: nobody else who lives has claimed it
};
// Nobody else claims it before the transaction's end. Nothing where there is no row.
std::optional<ClaimRow> hold_claim(PostgresConnection& connection, const std::string& path,
                                   const std::string& audio_path, int64_t worker);
// The file is done. Late in its transaction, since who enters the file anew waits for its end.
void drop_claim(PostgresConnection& connection, const std::optional<ClaimRow>& claim);

class ClaimedWork : public WorkShare {
 public:
  // Enters the jobs, but for those that are done by now.
  ClaimedWork(std::shared_ptr<PostgresSession> session, const PostgresWorker& worker,
              const std::vector<IndexJob>& jobs);

  std::optional<Turn> next(const std::function<bool()>& wanted) override;

 private:
  struct Waiting {
    int64_t id = 0;  // in the table
    size_t job = 0;
  };
  std::optional<Turn> try_next();

  std::shared_ptr<PostgresSession> session_;
  const PostgresWorker& worker_;
  std::atomic<bool> told_to_wait_ = false;
  std::mutex mutex_;  // of what follows
  std::deque<Waiting> waiting_;
  std::deque<size_t> done_;  // by others, and not told yet
};

}  // namespace cavmae
