// Pretraining from a folder of clips to a folder of results. One run a process at a time, since it answers
// SIGINT and SIGTERM.
#pragma once

#include <memory>

#include "cavmae/train/pretrain_options.h"
#include "cavmae/train/trainer.h"

namespace cavmae {

// As train(). All ranks of `world` call it.
RunResult pretrain(const PretrainOptions& options, const RunPaths& paths, const RunHooks& hooks,
                   std::shared_ptr<Log> log, World& world);

}  // namespace cavmae
