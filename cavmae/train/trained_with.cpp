#include "cavmae/train/trained_with.h"

#include <string>

#include "cavmae/core/options.h"
#include "cavmae/core/paths.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfigFile = "config.json";  // of a run
constexpr const char* kStateFile = "state.json";    // of a checkpoint

struct RunConfig {
  Json options;  // null: there is none
  std::string where;
};

RunConfig config_of_run(const fs::path& run) {
  const fs::path file = run / kConfigFile;
  if (!fs::is_regular_file(file)) return {};
  return {.options = read_json(file), .where = file.string()};
}

RunConfig find_config(const fs::path& path) {
  const fs::path folder = fs::is_directory(path) ? path : path.parent_path();
  if (const fs::path state = folder / kStateFile; fs::is_regular_file(state)) {
    const Json json = read_json(state);
    if (!json.contains("config")) return {};
    return {.options = json.at("config"), .where = state.string() + ": config"};
  }
  const fs::path whole = absolute_path(folder);
  if (whole.filename() == "averaged" && whole.parent_path().filename() == "checkpoints")
    return config_of_run(whole.parent_path().parent_path());
  return fs::is_directory(path) ? config_of_run(path) : RunConfig{};
}

}  // namespace

TrainedWith training_of(const fs::path& path) {
  TrainedWith out;
  const RunConfig config = find_config(path);
  if (!config.options.is_object()) return out;
  // An option that fine-tuning alone has.
  if (config.options.contains("head_lr_scale"))
    options_from_saved(config.options, out.finetuning.emplace(), config.where);
  else
    options_from_saved(config.options, out.pretraining.emplace(), config.where);
  return out;
}

}  // namespace cavmae
