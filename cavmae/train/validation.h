// Losses and retrieval of a pretraining task on clips that the run does not learn from, in one pass over
// them. Free functions; every rank calls them.
#pragma once

#include <optional>

#include "cavmae/eval/clip_passes.h"
#include "cavmae/train/pretraining_task.h"

namespace cavmae {

// Nothing when a stop signal arrived meanwhile. The contrastive loss is that of each batch by itself.
std::optional<ValidationResult> validate(PretrainingTask& task, ClipPass& clips,
                                         const ValidationOptions& options);

// The sums of all ranks.
StepMeans sum_of_ranks(World& world, const StepMeans& own);

// How clips are passed over for a validation. The caller adds how they are read.
PassOptions validation_pass(const PassOptions& reading);

}  // namespace cavmae
