// Losses and retrieval on clips that the run does not learn from, in one pass over them. Free functions.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "cavmae/data/loader.h"
#include "cavmae/eval/retrieval.h"
#include "cavmae/train/pretraining_task.h"

namespace cavmae {

struct ValidationResult {
  StepMeans losses;                          // means over the clips
  std::optional<RetrievalResult> retrieval;  // of networks with both modalities
  double seconds = 0.0;
};

struct ValidationOptions {
  uint64_t mask_seed = 0;  // the same masks at every validation
  bool show_progress = true;
};

// Nothing when a stop signal arrived meanwhile. `loader` reads in evaluation view.
std::optional<ValidationResult> validate(PretrainingTask& task, Loader& loader,
                                         const ValidationOptions& options);

}  // namespace cavmae
