#include "cavmae/data/media_files.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "cavmae/core/text.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

constexpr std::array kVideoExtensions = {".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".mpg", ".mpeg",
                                         ".flv", ".wmv", ".ts",   ".mts", ".3gp", ".ogv", ".vob", ".m2ts"};
constexpr std::array kAudioExtensions = {".wav",  ".flac", ".mp3", ".ogg",  ".m4a", ".aac",
                                         ".opus", ".oga",  ".wma", ".aiff", ".aif", ".mka"};
constexpr std::array kPictureExtensions = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm"};

template <class List>
bool contains(const List& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

// The folders from the first one down to where the search is, as the disk knows them.
using Trail = std::vector<fs::path>;

void scan(const fs::path& folder, Trail& trail, FolderScan& found, Log& log) {
  std::error_code failed;
  const fs::path real = fs::canonical(folder, failed);
  if (failed || std::find(trail.begin(), trail.end(), real) != trail.end()) return;
  fs::directory_iterator it(folder, failed);
  if (failed) {
    log.warn("{}: this folder cannot be read and is left out: {}", folder.string(), failed.message());
    return;
  }
  std::vector<fs::path> entries;
  for (; it != fs::directory_iterator(); it.increment(failed)) {
    if (failed) break;
    if (!it->path().filename().string().starts_with('.')) entries.push_back(it->path());
  }
  std::sort(entries.begin(), entries.end());
  trail.push_back(real);
  for (const fs::path& entry : entries) {
    if (fs::is_directory(entry, failed)) {
      scan(entry, trail, found, log);
    } else if (media_kind(entry) != MediaKind::unknown) {
      found.media.push_back(entry);
    } else {
      ++found.num_other_files;
    }
  }
  trail.pop_back();
}

}  // namespace

MediaKind media_kind(const fs::path& path) {
  const std::string extension = lower(path.extension().string());
  if (contains(kVideoExtensions, extension)) return MediaKind::video;
  if (contains(kAudioExtensions, extension)) return MediaKind::audio;
  if (contains(kPictureExtensions, extension)) return MediaKind::picture;
  return MediaKind::unknown;
}

std::string known_media_extensions() {
  std::string text;
  const auto add = [&](const auto& list) {
    for (const char* extension : list) text += (text.empty() ? "" : " ") + std::string(extension);
  };
  add(kVideoExtensions);
  add(kAudioExtensions);
  add(kPictureExtensions);
  return text;
}

ClipSource clip_of_file(const MediaSource& source) {
  const MediaKind kind = media_kind(source.name());
  ClipSource clip;
  if (kind != MediaKind::picture) clip.audio = source;
  if (kind != MediaKind::audio) clip.video = source;
  return clip;
}

FolderScan find_media_files(const fs::path& folder, Log& log) {
  FolderScan found;
  Trail trail;
  scan(folder, trail, found, log);
  return found;
}

}  // namespace cavmae
