// Losses and retrieval of a pretraining task on clips that the run does not learn from, in one pass over
// them. Free functions.
#pragma once

#include <optional>

#include "cavmae/data/loader.h"
#include "cavmae/train/pretraining_task.h"

namespace cavmae {

// Nothing when a stop signal arrived meanwhile. `loader` reads in evaluation view.
std::optional<ValidationResult> validate(PretrainingTask& task, Loader& loader,
                                         const ValidationOptions& options);

}  // namespace cavmae
