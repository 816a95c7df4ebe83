// What a run is made of before its first step. Free functions.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "cavmae/data/clip_reader.h"
#include "cavmae/models/cav_mae.h"
#include "cavmae/models/initial_parameters.h"
#include "cavmae/train/pretrain_options.h"

namespace cavmae {

// What the random numbers of a run are for; each use has a stream of its own.
enum class SeedUse : uint64_t { parameters = 1, masks = 2, validation_masks = 3 };
uint64_t run_seed(const RunOptions& options, SeedUse use);

// An initialised network in the precision and on the device that were asked for; its values do not depend on
// either.
CavMae make_model(const PretrainOptions& options);

// For a run of so many steps. Null where the options ask for none.
std::unique_ptr<Teacher> make_teacher(const PretrainOptions& options, int64_t total_steps);
// The first step whose patches it ranks.
int64_t first_ranked_step(const PretrainOptions& options, int64_t total_steps);

// Begins from options.init where there is one. Throws CheckpointError when it does not fit.
std::optional<InitialReport> load_initial_parameters(CavMae& model, const RunOptions& options);

// What a clip must hold for a network that takes these.
Need needed_of_clips(Modalities modalities);

// Optimizer steps that `clips` clips give in an epoch; 0 when they do not fill a batch.
int64_t steps_per_epoch(const RunOptions& options, int64_t clips);
int64_t steps_of_run(const RunOptions& options, int64_t clips);

enum class ValueCount { all, trained };
// Values in the parameters, in millions.
double count_millions(CavMae& model, ValueCount which);

}  // namespace cavmae
