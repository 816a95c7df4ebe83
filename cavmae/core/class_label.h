// What a class is called. Plain values and free functions.
#pragma once

#include <string>
#include <vector>

#include "cavmae/core/json.h"

namespace cavmae {

struct ClassLabel {
  std::string mid;           // what data sets call it ("/m/09x0r")
  std::string display_name;  // what people call it ("Speech")

  bool operator==(const ClassLabel&) const = default;
};

// As a checkpoint keeps them: a list of {"mid", "display_name"}. `origin` names it in the DataError.
Json class_labels_to_json(const std::vector<ClassLabel>& labels);
std::vector<ClassLabel> class_labels_from_json(const Json& json, const std::string& origin);

}  // namespace cavmae
