// How moments and times of a library are printed.
#pragma once

#include <string>
#include <vector>

#include "cavmae/core/json.h"
#include "cavmae/search/search.h"

namespace cavmae::apps {

// "1:02:03.5"
std::string moment_time(int64_t milliseconds);
// A line a file with its best moment, and one for each further moment.
void print_hits(const std::vector<FileHit>& hits);
Json to_json(const std::vector<FileHit>& hits);

}  // namespace cavmae::apps
