// Reads the clips of an epoch in its order: which ones belong together, and what becomes of each. What it
// refers to must outlive it and not change. Safe from several threads, each with runs of its own.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "cavmae/data/batch_assembler.h"
#include "cavmae/data/clip_reader.h"
#include "cavmae/data/targets.h"
#include "cavmae/data/windows.h"

namespace cavmae {

// Note [Runs]
// Windows of one clip that follow each other in the order are a run, which one thread reads front to back;
// any other clip is a run of its own.
struct ClipRun {
  int64_t end = 0;                     // the position in the order behind its last clip
  std::optional<ClipWindows> windows;  // of a run of several
};

class EpochReader {
 public:
  struct Inputs {
    const ClipList& clips;
    const std::shared_ptr<const ClipReader>& reader;
    const std::optional<Supervision>& supervision;
    ViewOptions view;
    Need need = Need::both;
    int64_t batch_size = 1;
    double clip_timeout = 0.0;  // seconds that reading a clip may take; 0: any time
  };
  EpochReader(const Inputs& inputs, const EpochOptions& epoch);

  int64_t num_positions() const { return static_cast<int64_t>(order_.size()); }
  // What is read of the epoch's order, from its start position on: the rank's part of each batch.
  const std::vector<int64_t>& order() const { return order_; }

  // The run that begins at `position` of order(), or the rest of one that began before it.
  ClipRun begin_run(int64_t position) const;
  // The next clip of `run`, which stands at `position`.
  ReadResult read(int64_t position, ClipRun& run) const;

 private:
  Sample read_sample(int64_t position, ClipRun& run) const;

  Inputs in_;
  EpochOptions epoch_;
  std::vector<int64_t> order_;
  std::vector<int64_t> occurrence_;  // how often the clip at a position came before in the whole order
  std::vector<int64_t> run_end_;     // of the run that the clip at a position is part of
};

}  // namespace cavmae
