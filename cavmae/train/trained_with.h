// How a checkpoint was trained: the options of the run that made it. A free function; safe from any thread.
#pragma once

#include <filesystem>
#include <optional>

#include "cavmae/train/finetune_options.h"
#include "cavmae/train/pretrain_options.h"

namespace cavmae {

// One of the two, or neither where the file stands without its run.
struct TrainedWith {
  std::optional<PretrainOptions> pretraining;
  std::optional<FinetuneOptions> finetuning;
};

// `path`: a run's folder, a checkpoint's or the model's file in it. Of a run's folder config.json answers, of
// a checkpoint the state.json beside it, of the averaged model its run's config.json. Throws ConfigError that
// names the file when it holds other options.
TrainedWith training_of(const std::filesystem::path& path);

}  // namespace cavmae
