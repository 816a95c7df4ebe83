#include "cavmae/data/media_files.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <set>
#include <string_view>

#include "cavmae/core/error.h"
#include "cavmae/core/text.h"
#include "cavmae/core/utf8.h"
#include "cavmae/media/media_reader.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kVideoExtensions[] = {
    ".mp4", ".mkv", ".webm", ".avi",  ".mov",  ".m4v",  ".mpg", ".mpeg", ".flv", ".wmv", ".ts",  ".mts",
    ".3gp", ".ogv", ".vob",  ".m2ts", ".asf",  ".divx", ".dv",  ".f4v",  ".gif", ".m2v", ".mxf", ".nut",
    ".ogm", ".rm",  ".3g2",  ".y4m",  ".rmvb", ".qt",   ".m2t", ".mpe",  ".m1v", ".wtv"};
constexpr std::string_view kAudioExtensions[] = {
    ".wav", ".flac", ".mp3",  ".ogg", ".m4a",  ".aac", ".opus", ".oga", ".wma", ".aiff",
    ".aif", ".mka",  ".aifc", ".ac3", ".eac3", ".amr", ".ape",  ".au",  ".caf", ".dts",
    ".m4b", ".mp2",  ".ra",   ".snd", ".spx",  ".tta", ".voc",  ".w64", ".wv",  ".mpc"};
constexpr std::string_view kPictureExtensions[] = {".jpg", ".jpeg", ".png", ".webp", ".bmp",
                                                   ".tif", ".tiff", ".ppm", ".jfif", ".avif"};
constexpr std::string_view kSidecarEndings[] = {".info.json",   ".live_chat.json",
                                                ".description", ".annotations.xml",
                                                ".part",        ".ytdl",
                                                ".aria2",       ".crdownload",
                                                ".vtt",         ".srt",
                                                ".ass",         ".ssa",
                                                ".lrc",         ".ttml",
                                                ".srv1",        ".srv2",
                                                ".srv3",        ".json3",
                                                ".nfo",         ".download"};
// What TypeScript's sources and MPEG transport streams are both called.
constexpr std::string_view kMaybeText[] = {".ts", ".mts"};

template <class List>
bool is_one_of(const List& list, std::string_view word) {
  return std::ranges::find(list, word) != std::end(list);
}

std::string extension_of(std::string_view path) {
  const size_t slash = path.rfind('/');
  const std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  const size_t dot = name.rfind('.');
  return dot == std::string_view::npos || dot == 0 ? "" : lower(name.substr(dot));
}

// What the name of a sidecar ends in; "" of any other name.
std::string_view sidecar_ending(std::string_view name) {
  const auto ends = [&](std::string_view ending) { return name.ends_with(ending); };
  const auto found = std::ranges::find_if(kSidecarEndings, ends);
  return found == std::end(kSidecarEndings) ? std::string_view() : *found;
}

// Whether a file that is not empty begins with nothing but text.
bool begins_as_text(const fs::path& file) {
  std::array<char, 1024> bytes{};
  std::ifstream in(file, std::ios::binary);
  in.read(bytes.data(), bytes.size());
  const auto count = in.gcount();
  return count > 0 && std::all_of(bytes.begin(), bytes.begin() + count,
                                  [](unsigned char c) { return c >= ' ' || (c >= '\t' && c <= '\r'); });
}

// Searches folders, one within the other.
class Search {
 public:
  Search(const ScanOptions& options, FolderScan& found, Log& log)
      : options_(options), found_(found), log_(log) {}

  void enter(const fs::path& folder);

 private:
  // Whether the directory could be read.
  bool list(const fs::path& folder, std::vector<fs::path>& entries);
  void take(const fs::path& file, const std::set<std::string>& videos);

  ScanOptions options_;
  FolderScan& found_;
  Log& log_;
  std::vector<fs::path>
      trail_;  // the folders from the first one down to where the search is, as the disk knows them
};

bool Search::list(const fs::path& folder, std::vector<fs::path>& entries) {
  std::error_code failed;
  fs::directory_iterator it(folder, failed);
  if (failed) {
    log_.warn("{}: this folder cannot be read and is left out: {}", folder.string(), failed.message());
    return false;
  }
  for (; it != fs::directory_iterator(); it.increment(failed)) {
    if (failed) break;
    if (!it->path().filename().string().starts_with('.')) entries.push_back(it->path());
  }
  std::sort(entries.begin(), entries.end());
  return true;
}

void Search::take(const fs::path& file, const std::set<std::string>& videos) {
  const MediaKind kind = media_kind(file.native());
  const bool opens = options_.unknown == UnknownFiles::open;
  if (is_sidecar(file)) {
    found_.left_out.add(
        file, is_one_of(kMaybeText, extension_of(file.native())) ? " without a transport stream" : "");
  } else if (kind == MediaKind::picture && !opens &&
             videos.contains((file.parent_path() / file.stem()).string())) {
    found_.left_out.add(file, " beside a video of the same name");
  } else if (kind != MediaKind::unknown || (opens && why_no_media(file).empty())) {
    found_.media.push_back(file);
  } else {
    found_.left_out.add(file);
  }
}

void Search::enter(const fs::path& folder) {
  std::error_code failed;
  const fs::path real = fs::canonical(folder, failed);
  std::vector<fs::path> entries;
  if (failed || std::ranges::find(trail_, real) != trail_.end() || !list(folder, entries)) return;
  const auto is_picture = [](const fs::path& entry) {
    return media_kind(entry.native()) == MediaKind::picture;
  };
  std::set<std::string> videos;
  for (const fs::path& entry : std::ranges::any_of(entries, is_picture) ? entries : std::vector<fs::path>())
    if (media_kind(entry.native()) == MediaKind::video)
      videos.insert((entry.parent_path() / entry.stem()).string());
  trail_.push_back(real);
  for (const fs::path& entry : entries) {
    if (fs::is_directory(entry, failed))
      enter(entry);
    else
      take(entry, videos);
  }
  trail_.pop_back();
}

}  // namespace

MediaKind media_kind(std::string_view path) {
  const std::string extension = extension_of(path);
  if (is_one_of(kVideoExtensions, extension)) return MediaKind::video;
  if (is_one_of(kAudioExtensions, extension)) return MediaKind::audio;
  if (is_one_of(kPictureExtensions, extension)) return MediaKind::picture;
  return MediaKind::unknown;
}

std::string known_media_extensions() {
  std::string text;
  const auto add = [&](const auto& list) {
    for (const std::string_view extension : list) (text += text.empty() ? "" : " ") += extension;
  };
  add(kVideoExtensions);
  add(kAudioExtensions);
  add(kPictureExtensions);
  return text;
}

bool is_sidecar(const fs::path& path) {
  const std::string name = lower(path.filename().native());
  if (!sidecar_ending(name).empty()) return true;
  return is_one_of(kMaybeText, extension_of(name)) && begins_as_text(path);
}

std::string why_no_media(const fs::path& file) {
  try {
    probe_media(file);
    return "";
  } catch (const MediaError& error) {
    return error.what();
  }
}

PromisedModalities modalities_inside(const ClipSource& clip) {
  if (clip.audio.empty() || clip.video.empty() || clip.audio.name() != clip.video.name())
    return promised_modalities(clip);
  try {
    const MediaInfo info = probe_media(clip.audio);
    return {.audio = info.has_audio, .video = info.has_video};
  } catch (const MediaError&) {
    return promised_modalities(clip);
  }
}

ClipSource clip_of_file(const MediaSource& source) {
  ClipSource clip;
  clip.audio = clip.video = source;
  return clip;
}

void LeftOut::add(const fs::path& file, const std::string& what) {
  ++count_;
  const std::string_view sidecar = sidecar_ending(lower(file.filename().native()));
  const std::string extension = sidecar.empty() ? extension_of(file.native()) : std::string(sidecar);
  ++by_name_[(extension.empty() ? "without extension" : escape_invalid_utf8(extension)) + what];
}

std::string LeftOut::text() const {
  constexpr size_t kMostNames = 12;
  std::string text =
      concat(count_, count_ == 1 ? " other file" : " other files", count_ == 0 ? "" : " left out: ");
  size_t shown = 0;
  for (const auto& [name, count] : by_name_) {
    if (++shown > kMostNames) return text + ", ...";
    text += (shown == 1 ? "" : ", ") + name + (count == 1 ? "" : concat(" (", count, ")"));
  }
  return text;
}

FolderScan find_media_files(const fs::path& folder, const ScanOptions& options, Log& log) {
  FolderScan found;
  Search(options, found, log).enter(folder);
  return found;
}

}  // namespace cavmae
