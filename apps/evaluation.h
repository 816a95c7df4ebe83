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

// Registers --device, and what it was given.
void add_device_flag(CLI::App& app, OptionFlags& flags);
DeviceOptions device_options(const OptionFlags& flags);

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
  OptionFlags loader_flags, device_flags;

  // Registers --checkpoint, --data, --cache, --frames, --window-start, the shape of the inputs, --device and
  // the loader's flags.
  void add(CLI::App& app);
  PassOptions pass_options(const GlobalOptions& global) const;
  DeviceOptions device() const { return device_options(device_flags); }
};

struct ModelToEvaluate {
  LoadedModel loaded;
  InputSpec spec;
};

// The model, on its device, with the features it was trained on, but for what the flags say; an imported
// checkpoint without them gets the paper's, in its sizes.
ModelToEvaluate load_for_evaluation(const EvaluationFlags& flags, Log& log);
// The same without other flags.
ModelToEvaluate load_for_evaluation(const std::filesystem::path& checkpoint, const DeviceOptions& device,
                                    Log& log);

// "3 clips could not be read:" and the reasons.
void report_failed(const std::vector<BadClip>& failed, Log& log);

}  // namespace cavmae::apps
