// What 'cavmae info' says of what 'cavmae embed' and 'cavmae index' wrote.
#pragma once

#include <filesystem>
#include <string>

#include "cavmae/core/json.h"

namespace cavmae::apps {

// What is printed, and the same as JSON.
struct Description {
  std::string text;
  Json json;
};

// Of a file, and of a folder of files.
Description embeddings_info(const std::filesystem::path& path);
Description parts_info(const std::filesystem::path& folder);
// Of a library of moments.
Description library_info(const std::string& library);

}  // namespace cavmae::apps
