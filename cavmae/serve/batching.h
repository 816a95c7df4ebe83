// Queries from many connections share one forward pass: those that wait together become a batch. Safe from
// several threads.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

#include "cavmae/data/clip.h"
#include "cavmae/eval/model.h"

namespace cavmae {

struct BatchingOptions {
  int64_t max_batch = 8;     // queries in one forward pass
  double deadline_ms = 10;   // that the first of a batch waits for others
  int64_t max_waiting = 64;  // queries; one more is refused
};

struct BatchingCounts {
  int64_t queries = 0, batches = 0, refused = 0, waiting = 0;
};

class Batching {
 public:
  Batching(CavMae network, const BatchingOptions& options);
  ~Batching();  // finishes what waits

  // What the network makes of a sample; waits for its batch. Throws HttpError 503 when too many wait, and
  // what the network throws.
  ClipVectors embed(Sample sample);

  BatchingCounts counts() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Query {
    Sample sample;
    Clock::time_point since;
    std::promise<ClipVectors> vectors;
  };

  void work();
  std::vector<Query> take_batch();
  void compute(std::vector<Query>& batch);

  CavMae network_;
  BatchingOptions options_;
  mutable std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  std::deque<Query> waiting_;
  BatchingCounts counts_;
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace cavmae
