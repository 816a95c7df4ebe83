#include "cavmae/train/run_folder.h"

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"
#include "cavmae/core/paths.h"
#include "cavmae/core/text.h"
#include "cavmae/core/utf8.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

bool holds_run(const fs::path& run) {
  return fs::exists(run / "config.json");
}

Json absolute_paths(const std::vector<fs::path>& paths) {
  Json out = Json::array();
  for (const fs::path& path : paths) out.push_back(absolute_data(path));
  return out;
}

// JSON is UTF-8, and a path that is none would lead elsewhere when the run is resumed.
void check_is_utf8(const std::string& flag, const fs::path& path) {
  CAVMAE_CHECK_AS(ConfigError, is_utf8(path.native()), flag, " ", escape_invalid_utf8(path.native()),
                  ": the path is no UTF-8 text, which run.json needs; rename it, or give a link to it");
}

}  // namespace

void check_run_folder(const RunPaths& paths) {
  const fs::path& run = paths.out;
  CAVMAE_CHECK_AS(ConfigError, !run.empty(), "no folder for the run; name one with --out");
  check_is_utf8("--out", run);
  check_is_utf8("--cache", paths.cache);
  for (const fs::path& path : paths.data) check_is_utf8("--data", path);
  for (const fs::path& path : paths.val) check_is_utf8("--val", path);
  if (paths.start == RunStart::resume) {
    CAVMAE_CHECK_AS(ConfigError, holds_run(run), run.string(),
                    ": holds no run to resume (no config.json); check --out or leave out --resume");
    return;
  }
  CAVMAE_CHECK_AS(ConfigError, !holds_run(run), run.string(),
                  ": holds a run already; go on with it by --resume, or choose another --out");
  CAVMAE_CHECK_AS(ConfigError, !fs::exists(run) || (fs::is_directory(run) && fs::is_empty(run)), run.string(),
                  ": exists and is no empty folder; choose another --out");
}

RunPaths read_run_paths(const fs::path& run) {
  CAVMAE_CHECK_AS(ConfigError, fs::exists(run / "run.json"), run.string(),
                  ": holds no run (no run.json); check the folder");
  const fs::path file = run / "run.json";
  const Json json = read_json(file);
  RunPaths paths{.data = {}, .val = {}, .out = run, .cache = {}, .lists = {}, .start = RunStart::resume};
  for (const auto& [name, value] : {std::pair{"data", &paths.data}, std::pair{"val", &paths.val}})
    if (json.contains(name)) option_from_json(json[name], *value, file.string() + ": " + name);
  if (json.contains("cache")) option_from_json(json["cache"], paths.cache, file.string() + ": cache");
  if (json.contains("lists")) option_from_json(json["lists"], paths.lists, file.string() + ": lists");
  return paths;
}

void write_run_paths(const RunPaths& paths) {
  Json json = Json::object();
  json["data"] = absolute_paths(paths.data);
  json["val"] = absolute_paths(paths.val);
  json["cache"] = paths.cache.empty() ? "" : absolute_path(paths.cache).string();
  ListOptions lists = paths.lists;
  if (!lists.shard_cache.empty()) lists.shard_cache = absolute_path(lists.shard_cache).string();
  json["lists"] = option_to_json(lists);
  write_json(paths.out / "run.json", json);
}

}  // namespace cavmae
