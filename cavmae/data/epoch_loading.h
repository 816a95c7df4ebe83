// The batches of one epoch: worker threads read clips ahead, batches come out in one order whatever the
// number of workers. One consumer; the workers are its own. Private to this folder.
#pragma once

#include <memory>
#include <optional>

#include "cavmae/data/bad_clips.h"
#include "cavmae/data/clip_reader.h"
#include "cavmae/data/loader.h"
#include "cavmae/data/targets.h"

namespace cavmae {

// What all epochs of a loader read. Not changed while one is read.
struct LoadingSource {
  ClipList clips;
  std::shared_ptr<const ClipReader> reader;
  ViewOptions view;
  Need need = Need::both;
  LoaderOptions options;
  std::optional<Supervision> supervision = std::nullopt;
};

class EpochLoading {
 public:
  // Begins to read. `source` outlives this; `bad` is that of all epochs.
  EpochLoading(const LoadingSource& source, const EpochOptions& epoch, std::shared_ptr<BadClipLog> bad);
  ~EpochLoading();  // stops and joins

  // The next batch, or nothing at the end of the epoch. Throws what befell it, in its place; ends with that.
  std::optional<Batch> next();

  // As of the last item that next() gave.
  ClipAccount account() const;
  // Whether every clip is or was read, so that the workers have nothing more to begin.
  bool has_begun_all() const;
  const EpochOptions& epoch() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cavmae
