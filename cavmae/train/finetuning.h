// Fine-tuning from labelled clips to a classifier and its evaluation. One run a process at a time, since it
// answers SIGINT and SIGTERM.
#pragma once

#include <memory>
#include <optional>

#include "cavmae/train/finetune_options.h"
#include "cavmae/train/trainer.h"

namespace cavmae {

struct FinetuneResult {
  RunResult run;
  // Of the averaged model, or else the best one, with options.final_frames; kept in RUN/evaluation.json.
  // Nothing without validation clips or when the run was interrupted.
  std::optional<ClassificationResult> evaluation;
  std::filesystem::path evaluated;  // the checkpoint's folder
};

// As train(). What is wrong with labels, data or network is reported before anything is written. All ranks of
// `world` call it.
FinetuneResult finetune(const FinetuneOptions& options, const RunPaths& paths, const RunHooks& hooks,
                        std::shared_ptr<Log> log, World& world);

}  // namespace cavmae
