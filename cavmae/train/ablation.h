// A small grid of pretraining runs under one seed, each followed by what its encoders are worth: the paper's
// ablations. One at a time a process, since pretraining answers SIGINT and SIGTERM.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cavmae/core/json.h"
#include "cavmae/core/log.h"
#include "cavmae/data/read_clips.h"
#include "cavmae/train/pretraining.h"

namespace cavmae {

// "mask_ratio=0.5,0.75": an option of PretrainOptions and the values that it takes. Besides them there are
// `mask_ratio`, which is that of both modalities, and `config`, a configuration by name or file.
struct AblationAxis {
  std::string option;
  std::vector<std::string> values;
};
// Throws ConfigError when the text is no such axis.
AblationAxis parse_ablation_axis(const std::string& text);

struct AblationPlan {
  std::vector<AblationAxis> axes;
  std::vector<std::filesystem::path> data, val;
  std::filesystem::path out, cache;
  ListOptions lists = {};
  std::filesystem::path labels;  // the classes of the linear probe, a CSV; empty: the clips' own labels
  // The options of a cell before its axes' values: those of a configuration by name or file, or of the
  // default one where the name is empty.
  std::function<PretrainOptions(const std::string& config)> options_of;
  // Called before each run, a cell's pretraining or its probe, with what it computes with and its places.
  std::function<void(RunOptions& options, const RunPaths& paths)> begin_run = [](auto&, const auto&) {};
};

// One point of the grid.
struct AblationCell {
  std::vector<std::pair<std::string, std::string>> settings;  // option and value, in the axes' order
  PretrainOptions options;

  std::string name() const;  // "mask_ratio=0.5,bidirectional=true"; also its folder's
};

// Every combination of the axes' values, the last axis changing first. Throws ConfigError that names a bad
// option, a bad value, or the cell whose options do not fit together.
std::vector<AblationCell> expand(const AblationPlan& plan);

// What stands before the key of a metric of the linear probe ("probe_map").
inline constexpr const char* kProbePrefix = "probe_";

struct AblationRow {
  AblationCell cell;
  Json results;  // the last validation's record and, where clips are labelled, the linear probe's metrics
};
struct AblationResult {
  bool interrupted = false;       // by a signal; the same call goes on
  std::vector<AblationRow> rows;  // those that are finished, in the grid's order
};

// Pretrains, validates and, where every clip is labelled, trains a linear probe on the frozen encoders. Runs
// what is not finished yet: a cell that was stopped, even by kill -9, is resumed, one that has its result is
// passed over. OUT/cells/NAME holds run/, probe/ and result.json; OUT/table.md and table.json are written
// anew after every cell. Throws ConfigError when a finished cell was made with other options or other clips.
AblationResult run_ablation(const AblationPlan& plan, const RunHooks& hooks, std::shared_ptr<Log> log);

}  // namespace cavmae
