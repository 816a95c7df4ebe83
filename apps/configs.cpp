#include "apps/configs.h"

#include <filesystem>

#include "cavmae/core/error.h"
#include "cavmae/core/text.h"

namespace cavmae::apps {

NamedConfig find_config(const std::string& name_or_path) {
  if (std::filesystem::is_regular_file(name_or_path))
    return {.where = name_or_path, .json = read_json(name_or_path)};
  std::vector<std::string> names;
  for (const BuiltInConfig& config : built_in_configs()) {
    if (name_or_path == config.name)
      return {.where = name_or_path, .json = parse_json(config.text, name_or_path), .is_built_in = true};
    names.emplace_back(config.name);
  }
  throw ConfigError(concat("--config ", name_or_path, ": neither a file nor a built-in configuration",
                           suggestion(name_or_path, names)));
}

}  // namespace cavmae::apps
