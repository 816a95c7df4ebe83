// JSON for the rest of the program: the only header that names the JSON library. Objects keep their order.
#pragma once

#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

namespace cavmae {

using Json = nlohmann::ordered_json;

// Parses a JSON file; // and /* */ comments are allowed. Throws ConfigError naming the file, line and column.
Json read_json(const std::filesystem::path& path);

// Writes `value` indented, beside the target and renamed into place.
void write_json(const std::filesystem::path& path, const Json& value);

// Parses text; `where` names it in the error ("clips.jsonl:12"). More than 200 lists or objects in one
// another are an error.
Json parse_json(const std::string& text, const std::string& where);

}  // namespace cavmae
