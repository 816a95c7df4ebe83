// The prefetching loader: worker threads read clips ahead, batches come out in one order whatever the number
// of workers, also from one epoch to the next. One consumer thread calls next(); the workers are the
// loader's own.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/data/bad_clips.h"
#include "cavmae/data/clip_reader.h"
#include "cavmae/data/targets.h"

namespace cavmae {

struct LoaderOptions {
  int64_t batch_size = 8;  // of all ranks that read an epoch together
  int64_t num_workers = 2;
  int64_t prefetch_batches = 4;  // ready ahead of the consumer
  double max_bad_ratio = 0.1;    // more bad clips than this share stop the run
  double clip_timeout = 600.0;   // seconds that reading a clip may take, else it is a bad one; 0: any time

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("batch_size", o.batch_size, "clips in a batch (of a rank, where a run of several begins)");
    v("num_workers", o.num_workers, "threads that read clips (0: the thread that computes reads them)");
    v("prefetch_batches", o.prefetch_batches, "batches kept ready ahead of the training step");
    v("max_bad_ratio", o.max_bad_ratio, "stop when more than this share of the clips cannot be read");
    v("clip_timeout", o.clip_timeout,
      "seconds after which a clip that is still being read counts as one that cannot be read (0: never)");
  }
  // One ConfigError listing every bad field.
  void validate() const;
};

class Loader {
 public:
  Loader(ClipList clips, std::shared_ptr<const ClipReader> reader, ViewOptions view, Need need,
         LoaderOptions options, std::shared_ptr<Log> log);
  ~Loader();  // stops and joins

  // Gives batches targets, mixes clips, and balances the order: before the first epoch.
  void supervise(Supervision supervision);

  // `next`: the epoch that follows. Once every clip of this one is read, workers go on with that, as far
  // ahead as within an epoch; start_epoch() with the same options takes it over.
  void start_epoch(const EpochOptions& options, const std::optional<EpochOptions>& next = std::nullopt);
  // The next batch, or nothing at the end of the epoch; an empty one where none of its clips could be read,
  // see Note [Batches of positions]. Throws DataError past max_bad_ratio; of an epoch that several ranks
  // read, it is they who compare the sum of their accounts with it, by too_many_bad().
  std::optional<Batch> next();
  // Of the epoch, as far as next() has come: this rank's clips, those that it has seen, the bad ones.
  ClipAccount account() const;

  const ClipList& clips() const;
  // Seconds that next() waited since start_epoch().
  double wait_seconds() const;
  // Every clip that could not be read so far, once each, in order of discovery.
  std::vector<BadClip> bad_clips() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cavmae
