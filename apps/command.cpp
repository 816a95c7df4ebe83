#include "apps/command.h"

#include <cstdio>

#include "cavmae/core/json_text.h"

namespace cavmae::apps {

std::string flag_name(const std::string& option) {
  std::string flag = "--" + option;
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

void OptionFlags::add_leaf(CLI::App& app, const OptionLeaf& leaf, const std::string& group) {
  auto text = std::make_shared<std::optional<std::string>>();
  CAVMAE_CHECK(texts_.emplace(leaf.name, text).second, "two options are called ", leaf.name);
  const std::string flag = flag_name(leaf.name);
  const std::string fallback = leaf.fallback == "null" ? "none" : leaf.fallback;
  const std::string help = leaf.help + (fallback.empty() ? "" : " [" + fallback + "]");
  CLI::Option* option = nullptr;
  if (leaf.is_flag) {
    const std::string both = flag + "{true},--no-" + flag.substr(2) + "{false}";
    option = app.add_flag_function(
        both, [text](int64_t) {}, help);
    option->each([text](const std::string& value) { *text = value; });
  } else {
    option = app.add_option_function<std::string>(
        flag, [text](const std::string& value) { *text = value; }, help);
    option->type_name("");
  }
  option->group(group);
}

void OptionFlags::add_alias(CLI::App& app, const std::string& option, const std::string& old_flag) {
  const auto text = texts_.at(option);
  const auto set = [text, old_flag, flag = flag_name(option)](const std::string& value) {
    CAVMAE_CHECK_AS(ConfigError, !*text, old_flag, " is an older name of ", flag, "; give one of them");
    *text = value;
  };
  app.add_option_function<std::string>(old_flag, set)->group("");
}

std::set<std::string> OptionFlags::given() const {
  std::set<std::string> names;
  for (const auto& [name, text] : texts_)
    if (*text) names.insert(name);
  return names;
}

void OptionFlags::add_value_alias(const std::string& option, const std::string& old_value,
                                  const std::string& value) {
  value_aliases_[option] = {old_value, value};
}

std::string OptionFlags::todays_value(const std::string& option, const std::string& text) const {
  const auto alias = value_aliases_.find(option);
  return alias != value_aliases_.end() && text == alias->second.first ? alias->second.second : text;
}

void add_json_flag(CLI::App& app, std::filesystem::path& file) {
  app.add_option("--json", file, "write the result to FILE as JSON ('-': standard output)")
      ->type_name("FILE");
}

void write_json_result(const std::filesystem::path& file, const Json& value) {
  if (file.empty()) return;
  if (file == "-") {
    std::puts(to_text(value, 2).c_str());
  } else {
    write_json(file, value);
  }
}

}  // namespace cavmae::apps
