// Media files by their names, and all of them in a folder. A file is opened only where its name leaves a
// doubt. Free functions; safe from any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/data/clip_source.h"

namespace cavmae {

enum class MediaKind { video, audio, picture, unknown };

// By the extension of a path or of a source's name, in any case. What is of unknown kind may still be media;
// FFmpeg decides.
MediaKind media_kind(std::string_view path);

// ".mp4 .mkv ... .wav ...", as an error says what was looked for.
std::string known_media_extensions();

// Whether a file is no clip but belongs to one or to a program: by its name what yt-dlp writes beside a video
// (.info.json, .description, .part, ...) and subtitles; by its first bytes a .ts that is TypeScript and no
// transport stream.
bool is_sidecar(const std::filesystem::path& path);

// What FFmpeg has against the file; "" when it is a clip.
std::string why_no_media(const std::filesystem::path& file);

// What a clip that promises less turns out to have when its file is opened, whatever that is called; what it
// promises where it names several files, or one that cannot be read.
PromisedModalities modalities_inside(const ClipSource& clip);

// The clip that one file (or other source) makes: it may have sound, video or both, whatever it is called.
// The id is left empty.
ClipSource clip_of_file(const MediaSource& source);

// Files that a search has not taken, by what they are called.
class LeftOut {
 public:
  void add(const std::filesystem::path& file, const std::string& what = {});
  int64_t count() const { return count_; }
  // "3 other files left out: .au, .caf (2)".
  std::string text() const;

 private:
  int64_t count_ = 0;
  std::map<std::string, int64_t> by_name_;
};

struct FolderScan {
  std::vector<std::filesystem::path> media;  // sorted by name, folder by folder
  LeftOut left_out;
};

enum class UnknownFiles { leave_out, open };
struct ScanOptions {
  UnknownFiles unknown = UnknownFiles::leave_out;
};

// Every media file below `folder`. Hidden files and folders are left out, links are followed (but not into a
// folder that is being searched), a folder that cannot be read is logged. A picture that is called like a
// video beside it is its thumbnail, and no clip unless unknown files are opened too.
FolderScan find_media_files(const std::filesystem::path& folder, const ScanOptions& options, Log& log);

}  // namespace cavmae
