// Which kernels compute a command, on one process or many: --engine, what a run has recorded, and rank 0's.
#pragma once

#include <string>

#include "cavmae/core/log.h"
#include "cavmae/dist/world.h"
#include "cavmae/models/pretrained.h"
#include "cavmae/nn/compute.h"

namespace cavmae::apps {

// Says in the log when this machine computes in that precision, or in the one that `auto` came to, slower
// than its processor could.
void warn_of_slow_precision(PrecisionChoice precision, const RuntimeOptions& runtime, Log& log);
void warn_of_slow_precision(Precision precision, const RuntimeOptions& runtime, Log& log);

// Where those of a RuntimeOptions come from: the user, or a run that is resumed and what the user gives for
// it, see engines_of_resumed().
struct EngineOrigin {
  bool is_resumed = false;
  std::string given = {};
};
// The engines of a run that is resumed: those `given`, and for other jobs what it recorded, unless another
// precision or other kernels compute now: names are of kernels for one kind of factors. Throws ConfigError
// for what names no jobs.
std::string engines_of_resumed(const Compute& saved, const Compute& now, const std::string& given);

// Puts the kernels that runtime.engine names into use, and names in it those of all jobs, for the run's
// configuration. Of what a run has recorded, those that this machine lacks are warned of, and its own are
// taken for their jobs; a ConfigError where the user names one. Nothing where other kernels or another device
// compute. All ranks take rank 0's, whatever the processors of their hosts would choose; a ConfigError names
// one that lacks them.
void take_engines(Precision precision, RuntimeOptions& runtime, const EngineOrigin& origin, World& world,
                  Log& log);

// The same for a network that was loaded, whose precision was left to each rank where `choice` says so: it
// becomes rank 0's.
void take_kernels_of_first(Pretrained& model, PrecisionChoice choice, World& world);

}  // namespace cavmae::apps
