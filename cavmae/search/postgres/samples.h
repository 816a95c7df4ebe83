// The moments that scores are measured by, of a library in PostgreSQL: kept, and fetched as the library
// changes. Private to this folder; safe from several threads.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cavmae/core/torch.h"
#include "cavmae/search/postgres/session.h"
#include "cavmae/search/postgres/tables.h"

namespace cavmae {

class PostgresSamples {
 public:
  explicit PostgresSamples(std::shared_ptr<PostgresSession> session) : session_(std::move(session)) {}

  // LibrarySnapshot::sample() of the library when it has changed so often; what has come since may be in it.
  torch::Tensor sample(const PostgresState& state, ClipSide side);

 private:
  struct Drawn {
    int64_t changes = -1;
    std::vector<int64_t> moments;
    torch::Tensor vectors;  // float [n, D]
  };
  Drawn draw(const PostgresState& state, ClipSide side, const Drawn& former) const;

  std::shared_ptr<PostgresSession> session_;
  std::mutex mutex_;
  Drawn drawn_[2];  // of audio, of video
};

}  // namespace cavmae
