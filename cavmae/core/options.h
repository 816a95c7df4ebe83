// Options declared once. A struct keeps its defaults in place and lists name, field and help in one function:
//
//   struct LoaderOptions {
//     int64_t batch_size = 8;
//     template <class Self, class Visitor> static void visit(Self& o, Visitor&& v) {
//       v("batch_size", o.batch_size, "clips in a batch");
//     }
//   };
//
// JSON, flags, printing and the copy kept in a checkpoint derive from it. A field is bool, int64_t, double,
// std::string, std::filesystem::path, an enum with option_names(), std::optional or std::vector of those, a
// type that brings its own JSON (no flag sets it), or another such struct, which becomes a nested JSON object
// while its flags are those of its leaves.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "cavmae/core/error.h"
#include "cavmae/core/json.h"
#include "cavmae/core/text.h"

namespace cavmae {

// Enums take part by an overload found by argument lookup that lists their values:
//   inline std::vector<std::pair<Mode, std::string>> option_names(Mode) { return {{Mode::fast, "fast"}, ...};
//   }
template <class T>
concept NamedEnum = std::is_enum_v<T> && requires(T t) {
  { option_names(t) } -> std::same_as<std::vector<std::pair<T, std::string>>>;
};

namespace options_detail {

struct NullVisitor {
  template <class Field>
  void operator()(const char*, Field&&, const char*) const {}
};
template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};

}  // namespace options_detail

template <class T>
concept OptionStruct = requires(T& t) {
  T::visit(t, options_detail::NullVisitor{});
};

// A type that is JSON in a way of its own; from_json() throws ConfigError naming `where`.
template <class T>
concept JsonField = requires(T& t, const T& constant, const Json& json, const std::string& where) {
  { constant.to_json() } -> std::same_as<Json>;
  t.from_json(json, where);
};

// ---- enums

template <NamedEnum E>
std::string enum_name(E value) {
  for (const auto& [v, name] : option_names(value))
    if (v == value) return name;
  throw Error(concat("enum value ", static_cast<int64_t>(value), " has no name"));
}

template <NamedEnum E>
std::vector<std::string> enum_words() {
  std::vector<std::string> words;
  for (const auto& [v, name] : option_names(E{})) words.push_back(name);
  return words;
}

// ---- to JSON

// A struct with a list kAbsentByDefault names there the fields that its JSON leaves out while they have their
// defaults: what came to be after files were written that do not know it.
template <class T>
concept HasAbsentFields = OptionStruct<T> && requires {
  { *std::begin(T::kAbsentByDefault) } -> std::convertible_to<std::string>;
};

template <class T>
Json option_to_json(const T& value) {
  if constexpr (OptionStruct<T>) {
    Json out = Json::object();
    T::visit(value,
             [&](const char* name, const auto& field, const char*) { out[name] = option_to_json(field); });
    if constexpr (HasAbsentFields<T>) {
      const T defaults{};
      T::visit(defaults, [&](const char* name, const auto& field, const char*) {
        const auto is_this = [&](const char* absent) { return std::string(absent) == name; };
        if (std::ranges::any_of(T::kAbsentByDefault, is_this) && out[name] == option_to_json(field))
          out.erase(name);
      });
    }
    return out;
  } else if constexpr (JsonField<T>) {
    return value.to_json();
  } else if constexpr (NamedEnum<T>) {
    return enum_name(value);
  } else if constexpr (options_detail::IsOptional<T>::value) {
    return value ? option_to_json(*value) : Json();
  } else if constexpr (options_detail::IsVector<T>::value) {
    Json out = Json::array();
    for (const auto& item : value) out.push_back(option_to_json(item));
    return out;
  } else if constexpr (std::same_as<T, std::filesystem::path>) {
    return value.string();
  } else {
    return value;
  }
}

// ---- from JSON

// The names of the fields of one struct, not of those inside it.
template <OptionStruct T>
std::vector<std::string> option_keys() {
  std::vector<std::string> keys;
  T value;
  T::visit(value, [&](const char* name, auto&, const char*) { keys.emplace_back(name); });
  return keys;
}

// Sets `value` from `json`; fields that the JSON does not name keep what they have. "comment" keys are
// ignored. `where` names the place in errors ("configs/tiny.json: model"). Throws ConfigError.
template <class T>
void option_from_json(const Json& json, T& value, const std::string& where) {
  if constexpr (OptionStruct<T>) {
    CAVMAE_CHECK_AS(ConfigError, json.is_object(), where, ": expected an object, found ", json.dump());
    const auto keys = option_keys<T>();
    for (const auto& [key, item] : json.items()) {
      const bool known = key == "comment" || std::find(keys.begin(), keys.end(), key) != keys.end();
      CAVMAE_CHECK_AS(ConfigError, known, where, ": unknown key '", key, "'", suggestion(key, keys));
    }
    T::visit(value, [&](const char* name, auto& field, const char*) {
      if (json.contains(name)) option_from_json(json[name], field, where + ": " + name);
    });
  } else if constexpr (JsonField<T>) {
    value.from_json(json, where);
  } else if constexpr (NamedEnum<T>) {
    CAVMAE_CHECK_AS(ConfigError, json.is_string(), where, ": expected a word, found ", json.dump());
    const auto word = json.get<std::string>();
    for (const auto& [v, name] : option_names(value))
      if (name == word) return void(value = v);
    throw ConfigError(concat(where, ": unknown value '", word, "'", suggestion(word, enum_words<T>())));
  } else if constexpr (options_detail::IsOptional<T>::value) {
    if (json.is_null()) return void(value.reset());
    option_from_json(json, value.emplace(), where);
  } else if constexpr (options_detail::IsVector<T>::value) {
    CAVMAE_CHECK_AS(ConfigError, json.is_array(), where, ": expected a list, found ", json.dump());
    value.clear();
    for (size_t i = 0; i < json.size(); ++i)
      option_from_json(json[i], value.emplace_back(), concat(where, "[", i, "]"));
  } else if constexpr (std::same_as<T, bool>) {
    CAVMAE_CHECK_AS(ConfigError, json.is_boolean(), where, ": expected true or false, found ", json.dump());
    value = json.get<bool>();
  } else if constexpr (std::same_as<T, int64_t>) {
    CAVMAE_CHECK_AS(ConfigError, json.is_number_integer(), where, ": expected a whole number, found ",
                    json.dump());
    value = json.get<int64_t>();
  } else if constexpr (std::same_as<T, double>) {
    CAVMAE_CHECK_AS(ConfigError, json.is_number(), where, ": expected a number, found ", json.dump());
    value = json.get<double>();
  } else if constexpr (std::same_as<T, std::filesystem::path>) {
    CAVMAE_CHECK_AS(ConfigError, json.is_string(), where, ": expected a path, found ", json.dump());
    value = json.get<std::string>();
  } else {
    static_assert(std::same_as<T, std::string>, "not a type of option");
    CAVMAE_CHECK_AS(ConfigError, json.is_string(), where, ": expected text, found ", json.dump());
    value = json.get<std::string>();
  }
}

// ---- from text (flags)

// Turns the text of a flag into JSON that option_from_json() takes for a T.
template <class T>
Json option_text_to_json(const std::string& text, const std::string& where) {
  if constexpr (options_detail::IsOptional<T>::value) {
    return text == "none" ? Json() : option_text_to_json<typename T::value_type>(text, where);
  } else if constexpr (options_detail::IsVector<T>::value) {
    Json out = Json::array();
    if (text.empty()) return out;
    for (const auto& part : split(text, ','))
      out.push_back(option_text_to_json<typename T::value_type>(part, where));
    return out;
  } else if constexpr (std::same_as<T, bool>) {
    const std::string word = lower(text);
    if (word == "true" || word == "yes" || word == "on" || word == "1" || word.empty()) return true;
    if (word == "false" || word == "no" || word == "off" || word == "0") return false;
    throw ConfigError(concat(where, ": expected true or false, found '", text, "'"));
  } else if constexpr (std::same_as<T, int64_t> || std::same_as<T, double>) {
    try {
      size_t used = 0;
      Json number;
      if constexpr (std::same_as<T, int64_t>) {
        number = static_cast<int64_t>(std::stoll(text, &used));
      } else {
        number = std::stod(text, &used);
      }
      if (used == text.size()) return number;
    } catch (const std::exception&) {
    }
    throw ConfigError(concat(where, ": expected a ", std::same_as<T, int64_t> ? "whole " : "",
                             "number, found '", text, "'"));
  } else {
    return text;
  }
}

// One leaf of an option struct, as a flag sees it.
struct OptionLeaf {
  std::string name;  // "mask_ratio_audio"
  std::string help;
  std::string fallback;  // the default, as text
  bool is_flag = false;  // a bool: may be given without a value
};

// Every leaf in order, nested structs included. Leaves of one struct have distinct names.
template <OptionStruct T>
std::vector<OptionLeaf> option_leaves(const T& value) {
  std::vector<OptionLeaf> leaves;
  T::visit(value, [&](const char* name, const auto& field, const char* help) {
    using Field = std::remove_cvref_t<decltype(field)>;
    if constexpr (OptionStruct<Field>) {
      for (auto& leaf : option_leaves(field)) leaves.push_back(std::move(leaf));
    } else {
      const Json json = option_to_json(field);
      std::string text = help;
      if constexpr (NamedEnum<Field>) {
        text += " (";
        for (const auto& word : enum_words<Field>()) text += (text.back() == '(' ? "" : ", ") + word;
        text += ")";
      }
      leaves.push_back(
          {name, text, json.is_string() ? json.get<std::string>() : json.dump(), std::same_as<Field, bool>});
    }
  });
  return leaves;
}

// Sets the leaf called `name` from a flag's text; false when there is no such leaf. Throws ConfigError.
template <OptionStruct T>
bool set_option(T& value, const std::string& name, const std::string& text) {
  bool found = false;
  T::visit(value, [&](const char* field_name, auto& field, const char*) {
    using Field = std::remove_cvref_t<decltype(field)>;
    if constexpr (OptionStruct<Field>) {
      found = found || set_option(field, name, text);
    } else if (!found && name == field_name) {
      std::string flag = "--" + name;
      std::replace(flag.begin(), flag.end(), '_', '-');
      option_from_json(option_text_to_json<Field>(text, flag), field, flag);
      found = true;
    }
  });
  return found;
}

// Collects every bad field before throwing one ConfigError that lists them all.
class Problems {
 public:
  template <class... Parts>
  void require(bool ok, const Parts&... parts) {
    if (!ok) text_ += "\n  - " + concat(parts...);
  }
  void throw_if_any(const std::string& where) const {
    CAVMAE_CHECK_AS(ConfigError, text_.empty(), where, ":", text_);
  }

 private:
  std::string text_;
};

}  // namespace cavmae
