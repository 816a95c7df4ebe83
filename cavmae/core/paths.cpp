#include "cavmae/core/paths.h"

#include <algorithm>
#include <string_view>

namespace cavmae {
namespace fs = std::filesystem;
namespace {

// Whether there is nothing to resolve, as in most paths: neither "." nor ".." nor a doubled slash.
bool is_plain(std::string_view path) {
  for (size_t begin = 0; begin < path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (part == "." || part == ".." || (part.empty() && begin > 0)) return false;
    begin = end + 1;
  }
  return true;
}

// Whether `path/..` is what stands before the last component of `path`.
bool leads_back(const fs::path& path) {
  std::error_code failed;
  return fs::symlink_status(path, failed).type() == fs::file_type::directory;
}

}  // namespace

fs::path resolve_path(const fs::path& path) {
  if (is_plain(path.native())) return path;
  fs::path out = path.root_path();
  const fs::path root = out;
  for (const fs::path& part : path.relative_path()) {
    if (part.empty() || part == ".") continue;
    const bool has_name = out != root && out.filename() != "..";
    if (part == ".." && has_name && leads_back(out)) {
      out = out.parent_path();
    } else if (part != ".." || out != root || root.empty()) {
      out /= part;  // the parent of / is /
    }
  }
  return out.empty() && !path.empty() ? "." : out;
}

fs::path absolute_path(const fs::path& path) {
  return resolve_path(path.empty() ? fs::current_path() : fs::absolute(path));
}

fs::path path_from_folder(const fs::path& file, const fs::path& folder) {
  if (file.is_absolute()) return file;
  // ".." leads away from where the folder really is.
  std::error_code failed;
  const fs::path here = fs::weakly_canonical(absolute_path(folder), failed);
  return failed ? absolute_path(file) : absolute_path(file).lexically_proximate(here);
}

fs::path folder_of(const fs::path& file) {
  return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

}  // namespace cavmae
