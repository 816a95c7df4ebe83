// The configurations that come with the program, compiled in, so that a moved program still has them.
#pragma once

#include <string>
#include <vector>

#include "cavmae/core/json.h"

namespace cavmae::apps {

struct BuiltInConfig {
  const char* name;  // "tiny"
  const char* text;  // the JSON file
};

// Generated from configs/*.json.
const std::vector<BuiltInConfig>& built_in_configs();

// A configuration by built-in name or by path. Throws ConfigError that names the nearest one.
struct NamedConfig {
  std::string where;  // for messages
  Json json;
  bool is_built_in = false;
};
NamedConfig find_config(const std::string& name_or_path);

}  // namespace cavmae::apps
