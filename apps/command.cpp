#include "apps/command.h"

#include <algorithm>
#include <cstdio>

#include <unistd.h>

#include "cavmae/core/json_text.h"
#include "cavmae/core/paths.h"
#include "cavmae/core/text.h"

namespace cavmae::apps {
namespace {

constexpr const char* kStandsAlone = "stands alone";  // the validator of such flags

bool stands_alone(CLI::Option& option) {
  try {
    return option.get_validator(kStandsAlone) != nullptr;
  } catch (const CLI::OptionNotFound&) {
    return false;
  }
}

}  // namespace

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

void OptionFlags::add_word_flag(CLI::App& app, const std::string& option,
                                const std::vector<std::string>& words) {
  let_stand_alone(app, *app.get_option(flag_name(option)), words,
                  [text = texts_.at(option)] { *text = "none"; });
}

void let_stand_alone(CLI::App& app, CLI::Option& option, const std::vector<std::string>& words,
                     const std::function<void()>& refuse) {
  const auto check = [words](const std::string& word) {
    const bool known = std::ranges::find(words, word) != words.end();
    return known ? std::string() : concat("unknown value '", word, "'", suggestion(word, words));
  };
  option.expected(0, 1)->default_str(words.front())->check(CLI::Validator(check, "", kStandsAlone));
  app.add_flag_callback("--no-" + option.get_lnames().front(), refuse)->group("");
}

std::vector<std::string> with_values_joined(CLI::App& root, const std::vector<std::string>& words) {
  std::map<std::string, CLI::Option*> may_stand_alone;
  for (CLI::App* command : root.get_subcommands([](CLI::App*) { return true; }))
    for (CLI::Option* option : command->get_options())
      if (stands_alone(*option)) may_stand_alone.emplace("--" + option->get_lnames().front(), option);
  std::vector<std::string> out;
  bool flags_end = false;  // behind "--"
  for (size_t i = 0; i < words.size(); ++i) {
    out.push_back(words[i]);
    flags_end = flags_end || words[i] == "--";
    const auto found = may_stand_alone.find(words[i]);
    if (flags_end || found == may_stand_alone.end()) continue;
    CLI::Option& option = *found->second;
    std::string next = i + 1 < words.size() ? words[i + 1] : "";
    const bool has_value = (*option.get_validator(kStandsAlone))(next).empty();
    out.back() += "=" + (has_value ? words[++i] : option.get_default_str());
  }
  return out;
}

CLI::Validator writable_file() {
  const auto check = [](const std::string& name) -> std::string {
    const std::filesystem::path file = name, folder = folder_of(file);
    std::error_code failed;
    if (name == "-") return "";
    if (std::filesystem::is_directory(file, failed)) return name + " is a folder; give the name of a file";
    if (!std::filesystem::is_directory(folder, failed))
      return concat(name, ": there is no folder ", folder.string(), "; make it or choose another file");
    if (::access(folder.c_str(), W_OK | X_OK) != 0)
      return concat(name, ": nothing may be written in ", folder.string(), "; choose another file");
    return "";
  };
  return {check, ""};
}

void add_json_flag(CLI::App& app, std::filesystem::path& file) {
  app.add_option("--json", file, "write the result to FILE as JSON ('-': standard output)")
      ->type_name("FILE")
      ->check(writable_file());
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
