#include "cavmae/core/class_label.h"

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

std::string text_of(const Json& entry, const char* key, const std::string& origin) {
  const bool is_text = entry.is_object() && entry.contains(key) && entry[key].is_string();
  CAVMAE_CHECK_AS(DataError, is_text, origin, ": a class must be {\"mid\": text, \"display_name\": text}");
  return entry[key].get<std::string>();
}

}  // namespace

Json class_labels_to_json(const std::vector<ClassLabel>& labels) {
  Json out = Json::array();
  for (const ClassLabel& label : labels)
    out.push_back({{"mid", label.mid}, {"display_name", label.display_name}});
  return out;
}

std::vector<ClassLabel> class_labels_from_json(const Json& json, const std::string& origin) {
  CAVMAE_CHECK_AS(DataError, json.is_array(), origin, ": expected a list of classes");
  std::vector<ClassLabel> labels;
  for (const Json& entry : json)
    labels.push_back(
        {.mid = text_of(entry, "mid", origin), .display_name = text_of(entry, "display_name", origin)});
  return labels;
}

}  // namespace cavmae
