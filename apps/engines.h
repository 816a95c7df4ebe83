// Which kernels compute a command, on one process or many: --engine, what a run has recorded, and rank 0's.
#pragma once

#include <string>

#include "cavmae/core/log.h"
#include "cavmae/dist/world.h"
#include "cavmae/models/pretrained.h"

namespace cavmae::apps {

// Says in the log when this machine computes in that precision, or in the one that `auto` came to, slower
// than its processor could.
void warn_of_slow_precision(PrecisionChoice precision, const RuntimeOptions& runtime, Log& log);
void warn_of_slow_precision(Precision precision, const RuntimeOptions& runtime, Log& log);

// Puts the kernels that runtime.engine names into use, and names in it those of all jobs, for the run's
// configuration. Of what a run has recorded, those that this machine lacks are warned of, and its own are
// taken for their jobs; a ConfigError where the user names one. Nothing where other kernels or another device
// compute. All ranks take rank 0's, whatever the processors of their hosts would choose; a ConfigError names
// one that lacks them.
enum class EngineOrigin { given, recorded };
void take_engines(Precision precision, RuntimeOptions& runtime, EngineOrigin origin, World& world, Log& log);

// The same for a network that was loaded, whose precision was left to each rank where `choice` says so: it
// becomes rank 0's.
void take_kernels_of_first(Pretrained& model, PrecisionChoice choice, World& world);

}  // namespace cavmae::apps
