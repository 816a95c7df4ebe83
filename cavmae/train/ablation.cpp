#include "cavmae/train/ablation.h"

#include <algorithm>

#include "cavmae/core/files.h"
#include "cavmae/core/options.h"
#include "cavmae/core/paths.h"
#include "cavmae/train/ablation_table.h"
#include "cavmae/train/finetuning.h"
#include "cavmae/train/pretraining.h"
#include "cavmae/train/run_folder.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMaskRatio = "mask_ratio";
constexpr const char* kConfig = "config";

// The linear probe: every clip looks the same in every epoch, so that the encoders run once a clip.
constexpr int64_t kProbeEpochs = 40;
constexpr double kProbeLr = 3e-3;

// What a cell may not differ in from the call that finished it: its options and its clips.
Json identity(const AblationCell& cell, const AblationPlan& plan) {
  const auto absolute = [](const std::vector<fs::path>& paths) {
    Json out = Json::array();
    for (const fs::path& path : paths) out.push_back(absolute_data(path));
    return out;
  };
  Json json = {{"options", option_to_json(cell.options)}};
  json["data"] = absolute(plan.data);
  json["val"] = absolute(plan.val);
  json["labels"] = plan.labels.empty() ? "" : fs::absolute(plan.labels).string();
  // Only where they are not the default, so that what was made before there was a choice is found.
  const Json lists = option_to_json(plan.lists);
  if (lists != option_to_json(ListOptions())) json["lists"] = lists;
  return json;
}

void apply(PretrainOptions& options, const std::string& option, const std::string& value) {
  if (option == kConfig) return;  // the cell began from it
  if (option == kMaskRatio) {
    set_option(options, "mask_ratio_audio", value);
    set_option(options, "mask_ratio_video", value);
  } else if (option == "init") {
    options.init = value == "none" ? fs::path() : fs::absolute(value);
  } else {
    set_option(options, option, value);
  }
}

void check_axes(const std::vector<AblationAxis>& axes) {
  std::vector<std::string> known = {kMaskRatio, kConfig};
  for (const OptionLeaf& leaf : option_leaves(PretrainOptions())) known.push_back(leaf.name);
  std::vector<std::string> seen;
  CAVMAE_CHECK_AS(ConfigError, !axes.empty(),
                  "nothing to compare: name an option and its values with --over");
  for (const AblationAxis& axis : axes) {
    CAVMAE_CHECK_AS(ConfigError, std::find(known.begin(), known.end(), axis.option) != known.end(), "--over ",
                    axis.option, ": no such option", suggestion(axis.option, known));
    CAVMAE_CHECK_AS(ConfigError, std::find(seen.begin(), seen.end(), axis.option) == seen.end(), "--over ",
                    axis.option, ": given twice; list all its values after one =");
    seen.push_back(axis.option);
  }
}

AblationCell make_cell(const AblationPlan& plan, std::vector<std::pair<std::string, std::string>> settings) {
  std::string config;
  for (const auto& [option, value] : settings)
    if (option == kConfig) config = value;
  AblationCell cell{.settings = std::move(settings), .options = plan.options_of(config)};
  for (const auto& [option, value] : cell.settings) apply(cell.options, option, value);
  if (cell.options.validate_every_epochs == 0) cell.options.validate_every_epochs = cell.options.epochs;
  try {
    cell.options.validate();
  } catch (const ConfigError& error) {
    throw ConfigError(concat("cell ", cell.name(), ": ", error.what()));
  }
  return cell;
}

bool all_labelled(const AblationPlan& plan, Log& log) {
  for (const auto* paths : {&plan.data, &plan.val}) {
    const ClipList clips = read_clip_sources(*paths, log, plan.lists);
    for (size_t i = 0; i < clips.size(); ++i) {
      if (!clips.labels(i).empty()) continue;
      log.info("clip {} has no label: there will be no linear probe", clips.id(i));
      return false;
    }
  }
  return true;
}

FinetuneOptions probe_options(const AblationCell& cell, const AblationPlan& plan,
                              const fs::path& checkpoint) {
  FinetuneOptions options = finetune_defaults(checkpoint).options;
  options.init = fs::absolute(checkpoint);
  options.labels = plan.labels;
  options.allow_empty_classes = true;
  options.freeze_encoder = true;
  // What the contrastive loss has taught, where a token of its own speaks for a clip.
  if (options.model.global_tokens && options.mode == Modalities::both)
    options.representation = Representation::global;
  options.head_lr_scale = 1.0;
  options.epochs = options.validate_every_epochs = kProbeEpochs;
  options.schedule = {.lr = kProbeLr, .lr_schedule = LrSchedule::cosine};
  options.view = ViewOptions();
  options.final_frames = FrameChoice::middle;
  options.seed = cell.options.seed;
  options.precision = cell.options.precision;
  options.runtime = cell.options.runtime;
  options.loader = cell.options.loader;
  return options;
}

class Ablation {
 public:
  Ablation(const AblationPlan& plan, const RunHooks& hooks, std::shared_ptr<Log> log)
      : plan_(plan),
        hooks_(hooks),
        log_(std::move(log)),
        cells_(expand(plan)),
        labelled_(all_labelled(plan, *log_)) {}

  AblationResult run();

 private:
  fs::path folder(const AblationCell& cell) const { return plan_.out / "cells" / cell.name(); }
  std::optional<Json> finished(const AblationCell& cell) const;
  RunPaths paths(const AblationCell& cell, const char* run) const;
  std::optional<Json> make(const AblationCell& cell);
  bool train(const AblationCell& cell);
  Json measure(const AblationCell& cell) const;
  bool probe(const AblationCell& cell, Json& results);

  const AblationPlan& plan_;
  const RunHooks& hooks_;
  std::shared_ptr<Log> log_;
  const std::vector<AblationCell> cells_;
  const bool labelled_;
};

AblationResult Ablation::run() {
  AblationResult result;
  for (const AblationCell& cell : cells_) finished(cell);  // a clash is reported before anything is trained
  for (size_t i = 0; i < cells_.size(); ++i) {
    const AblationCell& cell = cells_[i];
    std::optional<Json> results = finished(cell);
    if (results) {
      log_->info("cell {} of {}, {}: finished before", i + 1, cells_.size(), cell.name());
    } else {
      log_->info("cell {} of {}, {}", i + 1, cells_.size(), cell.name());
      results = make(cell);
    }
    if (!results) {
      result.interrupted = true;
      return result;
    }
    result.rows.push_back({.cell = cell, .results = std::move(*results)});
    write_ablation_table(plan_.out, result.rows);
  }
  return result;
}

// Nothing when a signal stopped it.
std::optional<Json> Ablation::make(const AblationCell& cell) {
  if (!train(cell)) return std::nullopt;
  Json results = measure(cell);
  if (labelled_ && !probe(cell, results)) return std::nullopt;
  Json record = identity(cell, plan_);
  record["results"] = results;
  write_json(folder(cell) / "result.json", record);
  return results;
}

// The results of a cell that has them.
std::optional<Json> Ablation::finished(const AblationCell& cell) const {
  const fs::path file = folder(cell) / "result.json";
  if (!fs::exists(file)) return std::nullopt;
  Json record = read_json(file);
  Json results = record.at("results");
  record.erase("results");
  CAVMAE_CHECK_AS(
      ConfigError, record == identity(cell, plan_), file.string(),
      ": was made with other options or other clips; give the same ones, or choose another --out");
  return results;
}

RunPaths Ablation::paths(const AblationCell& cell, const char* run) const {
  RunPaths paths{.data = plan_.data,
                 .val = plan_.val,
                 .out = folder(cell) / run,
                 .cache = plan_.cache,
                 .lists = plan_.lists,
                 .start = RunStart::fresh};
  // Both are written before the first step; a run without them was killed before it began.
  if (fs::exists(paths.out / "config.json") && fs::exists(paths.out / "run.json"))
    paths.start = RunStart::resume;
  else
    fs::remove_all(paths.out);
  make_directories(folder(cell));
  return paths;
}

// False when a signal stopped it.
bool Ablation::train(const AblationCell& cell) {
  PretrainOptions options = cell.options;
  const RunPaths where = paths(cell, "run");
  plan_.begin_run(options, where);
  return !pretrain(options, where, hooks_, log_, World::alone()).interrupted;
}

// Likewise.
bool Ablation::probe(const AblationCell& cell, Json& results) {
  FinetuneOptions options = probe_options(cell, plan_, folder(cell) / "run" / "checkpoints" / "last");
  const RunPaths where = paths(cell, "probe");
  plan_.begin_run(options, where);
  const FinetuneResult result = finetune(options, where, hooks_, log_, World::alone());
  if (result.run.interrupted) return false;
  for (const auto& [key, value] : result.evaluation.value().values) results[kProbePrefix + key] = value;
  return true;
}

// From the run's files, so that it does not matter how many calls it took.
Json Ablation::measure(const AblationCell& cell) const {
  const fs::path file = folder(cell) / "run" / "metrics.jsonl";
  Json last;
  for (const std::string& line : split(read_text(file), '\n')) {
    if (line.empty()) continue;
    Json record = parse_json(line, file.string());
    if (record.at("kind") == "validation") last = std::move(record);
  }
  CAVMAE_CHECK_AS(DataError, !last.is_null(), file.string(), ": the run was never validated");
  return last;
}

}  // namespace

AblationAxis parse_ablation_axis(const std::string& text) {
  const size_t equals = text.find('=');
  CAVMAE_CHECK_AS(ConfigError, equals != std::string::npos && equals > 0 && equals + 1 < text.size(),
                  "--over ", text, ": expected an option and its values, as in mask_ratio=0.5,0.75");
  AblationAxis axis{.option = text.substr(0, equals), .values = split(text.substr(equals + 1), ',')};
  std::replace(axis.option.begin(), axis.option.end(), '-', '_');
  for (size_t i = 0; i < axis.values.size(); ++i) {
    CAVMAE_CHECK_AS(ConfigError, !axis.values[i].empty(), "--over ", text, ": value ", i + 1, " is empty");
    for (size_t j = 0; j < i; ++j)
      CAVMAE_CHECK_AS(ConfigError, axis.values[i] != axis.values[j], "--over ", text, ": ", axis.values[i],
                      " stands there twice");
  }
  return axis;
}

std::string AblationCell::name() const {
  std::string name;
  for (const auto& [option, value] : settings) {
    if (!name.empty()) name += ',';
    name += option + "=" + value;
  }
  // A value may be a path.
  std::replace(name.begin(), name.end(), '/', '_');
  return name;
}

std::vector<AblationCell> expand(const AblationPlan& plan) {
  check_axes(plan.axes);
  std::vector<std::vector<std::pair<std::string, std::string>>> points(1);
  for (const AblationAxis& axis : plan.axes) {
    std::vector<std::vector<std::pair<std::string, std::string>>> next;
    for (const auto& point : points)
      for (const std::string& value : axis.values) {
        next.push_back(point);
        next.back().emplace_back(axis.option, value);
      }
    points = std::move(next);
  }
  std::vector<AblationCell> cells;
  for (auto& point : points) cells.push_back(make_cell(plan, std::move(point)));
  return cells;
}

AblationResult run_ablation(const AblationPlan& plan, const RunHooks& hooks, std::shared_ptr<Log> log) {
  CAVMAE_CHECK_AS(ConfigError, !plan.out.empty(),
                  "--out is needed: the folder that receives the runs and tables");
  CAVMAE_CHECK_AS(ConfigError, !plan.data.empty(), "--data is needed: clips to learn from");
  CAVMAE_CHECK_AS(ConfigError, !plan.val.empty(), "--val is needed: clips to measure with");
  return Ablation(plan, hooks, std::move(log)).run();
}

}  // namespace cavmae
