#include "cavmae/search/library_reader.h"

#include <cmath>
#include <filesystem>

#include "cavmae/core/paths.h"

namespace cavmae {
namespace {

// Whether `path` is `name` or ends with its parts.
bool ends_with_path(const std::string& path, const std::string& name) {
  if (path == name) return true;
  return path.size() > name.size() && path.ends_with(name) && path[path.size() - name.size() - 1] == '/';
}

}  // namespace

Moment LibraryReader::find_moment(const std::string& name, double seconds) {
  std::vector<LibraryFile> found;
  const std::string absolute = absolute_path(name).string();
  for (LibraryFile& file : files_called(std::filesystem::path(name).filename().string())) {
    if (file.path == absolute || file.audio_path == absolute) {
      found = {file};
      break;
    }
    if (ends_with_path(file.path, name)) found.push_back(std::move(file));
  }
  CAVMAE_CHECK_AS(DataError, !found.empty(), name, ": is not in the library ", name_,
                  "; cavmae index adds it");
  CAVMAE_CHECK_AS(DataError, found.size() == 1, name, ": several files of the library are called so (",
                  found[0].path, ", ", found.back().path, "); give more of the path");
  const auto at_ms = static_cast<double>(to_milliseconds(seconds));
  std::optional<Moment> best;
  double best_distance = 0;
  for (const Moment& moment : moments_of(found[0].id)) {
    const double distance = std::abs(static_cast<double>(moment.start_ms + moment.end_ms) / 2 - at_ms);
    if (best && distance >= best_distance) continue;
    best = moment;
    best_distance = distance;
  }
  const double end = to_seconds(found[0].end_ms);
  CAVMAE_CHECK_AS(DataError, best && (seconds >= 0 && (seconds <= end || end == 0)), found[0].path,
                  ": has no second ", seconds, "; it ends at ", end, " s");
  return *best;
}

}  // namespace cavmae
