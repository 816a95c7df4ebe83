// What the commands share that look at clips through a trained model: retrieve, embed, report.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/data/loader.h"
#include "cavmae/eval/embed.h"
#include "cavmae/models/checkpoint.h"

#include "apps/command.h"

namespace cavmae::apps {

struct EvaluationFlags {
  std::filesystem::path checkpoint;
  std::vector<std::filesystem::path> data;
  std::filesystem::path cache;
  std::string frames = "middle";
  std::string window_start = "none";
  InputShape shape;
  std::optional<double> window_seconds;
  bool resize_positions = false;
  LoaderOptions loader;
  OptionFlags loader_flags;

  // Registers --checkpoint, --data, --cache, --frames, --window-start, the shape of the inputs and the
  // loader's flags.
  void add(CLI::App& app);
  EmbedOptions embed_options(const GlobalOptions& global) const;
};

struct ModelToEvaluate {
  LoadedModel loaded;
  FeatureOptions features;
};

// The model with the features it was trained on, but for what the flags say; an imported checkpoint without
// them gets the paper's, in its sizes.
ModelToEvaluate load_for_evaluation(const EvaluationFlags& flags, Log& log);
// The same without such flags.
ModelToEvaluate load_for_evaluation(const std::filesystem::path& checkpoint, Log& log);

// "3 clips could not be read:" and the reasons.
void report_failed(const std::vector<BadClip>& failed, Log& log);

}  // namespace cavmae::apps
