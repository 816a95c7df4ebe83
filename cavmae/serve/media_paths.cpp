#include "cavmae/serve/media_paths.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cavmae/core/error.h"
#include "cavmae/data/shard_names.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

bool is_at_or_below(const fs::path& path, const fs::path& root) {
  const auto [at, rest] = std::mismatch(root.begin(), root.end(), path.begin(), path.end());
  return at == root.end();
}

// The file of a path that has no links: a link anywhere in it, put there since, is an error.
int open_without_links(const fs::path& canonical) {
  int folder = ::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  const fs::path relative = canonical.relative_path();
  for (auto part = relative.begin(); part != relative.end() && folder >= 0; ++part) {
    const bool is_last = std::next(part) == relative.end();
    const int flags = is_last ? O_RDONLY | O_NONBLOCK : O_PATH | O_DIRECTORY;
    const int next = ::openat(folder, part->c_str(), flags | O_NOFOLLOW | O_CLOEXEC);
    ::close(folder);
    folder = next;
  }
  return folder;
}

HttpError not_served(const std::string& why) {
  return HttpError(404, "file", "the file " + why,
                   "index the library again, or start the server with --root for folders that lists name");
}

// What is given as shards may be several: "shards/{000..012}.tar", "a.tar::b.tar".
std::vector<fs::path> named_files(const std::vector<fs::path>& roots) {
  std::vector<fs::path> out;
  for (const fs::path& root : roots) {
    if (!names_shards(root.native())) {
      out.push_back(root);
      continue;
    }
    for (const std::string& part : part_names(root.native()))
      for (const std::string& name : expand_range(part)) out.emplace_back(name);
  }
  return out;
}

constexpr std::array<std::pair<const char*, const char*>, 39> kMediaTypes = {
    {{".mp4", "video/mp4"},       {".m4v", "video/mp4"},        {".webm", "video/webm"},
     {".mov", "video/quicktime"}, {".mkv", "video/x-matroska"}, {".avi", "video/x-msvideo"},
     {".ts", "video/mp2t"},       {".m2ts", "video/mp2t"},      {".mts", "video/mp2t"},
     {".mpg", "video/mpeg"},      {".mpeg", "video/mpeg"},      {".wmv", "video/x-ms-wmv"},
     {".flv", "video/x-flv"},     {".3gp", "video/3gpp"},       {".ogv", "video/ogg"},
     {".wav", "audio/wav"},       {".mp3", "audio/mpeg"},       {".flac", "audio/flac"},
     {".m4a", "audio/mp4"},       {".aac", "audio/aac"},        {".ogg", "audio/ogg"},
     {".oga", "audio/ogg"},       {".opus", "audio/ogg"},       {".wma", "audio/x-ms-wma"},
     {".aif", "audio/aiff"},      {".aiff", "audio/aiff"},      {".au", "audio/basic"},
     {".wv", "audio/x-wavpack"},  {".jpg", "image/jpeg"},       {".jpeg", "image/jpeg"},
     {".png", "image/png"},       {".webp", "image/webp"},      {".gif", "image/gif"},
     {".avif", "image/avif"},     {".jfif", "image/jpeg"},      {".bmp", "image/bmp"},
     {".tif", "image/tiff"},      {".tiff", "image/tiff"},      {".ppm", "image/x-portable-pixmap"}}};

}  // namespace

MediaPaths::MediaPaths(const std::vector<fs::path>& roots) {
  for (const fs::path& root : named_files(roots)) {
    std::error_code failed;
    fs::path real = fs::canonical(root, failed);
    if (!failed && real != real.root_path()) roots_.push_back(std::move(real));
  }
}

fs::path MediaPaths::canonical_inside(const fs::path& path) const {
  std::error_code failed;
  const fs::path real = fs::canonical(path, failed);
  const bool inside = !failed && std::ranges::any_of(roots_, [&](const fs::path& root) {
    return is_at_or_below(real, root);
  });
  return inside ? real : fs::path();
}

std::shared_ptr<const OpenFile> MediaPaths::open(const fs::path& path) const {
  const fs::path real = canonical_inside(path);
  if (real.empty()) {
    if (const auto member = split_member_name(path)) return open_member(*member);
    throw not_served("is gone, or lies outside of the library's folders");
  }
  auto file = std::make_shared<const OpenFile>(open_without_links(real));
  struct stat status {};
  if (file->descriptor() < 0 || ::fstat(file->descriptor(), &status) != 0 || !S_ISREG(status.st_mode))
    throw not_served("cannot be opened");
  return file;
}

std::shared_ptr<const OpenFile> MediaPaths::open_member(const MemberName& name) const {
  const fs::path tar = canonical_inside(name.tar);
  if (tar.empty()) throw not_served("lies in an archive outside of the library's folders");
  try {
    const auto part = members_->find({.tar = tar, .member = name.member});
    if (!part) throw not_served("is not in its archive any more");
    auto file = std::make_shared<const OpenFile>(open_without_links(tar), part->offset, part->size);
    struct stat status {};
    const bool is_open = file->descriptor() >= 0 && ::fstat(file->descriptor(), &status) == 0;
    if (!is_open || part->offset > status.st_size || part->size > status.st_size - part->offset)
      throw not_served("does not lie in its archive any more");
    return file;
  } catch (const DataError& error) {
    throw not_served(concat("lies in an archive that cannot be read: ", error.what()));
  }
}

std::string media_type_of(const fs::path& path) {
  std::string extension = path.extension().string();
  std::ranges::transform(extension, extension.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const auto& [known, type] : kMediaTypes)
    if (extension == known) return type;
  return "application/octet-stream";
}

}  // namespace cavmae
