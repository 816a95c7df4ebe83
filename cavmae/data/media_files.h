// Media files by their names: what kind an extension is, and all of them in a folder. No file is opened. Free
// functions; safe from any thread.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/data/clip_source.h"

namespace cavmae {

enum class MediaKind { video, audio, picture, unknown };

// By the extension of a path or of a source's name, in any case. What is of unknown kind may still be media;
// FFmpeg decides.
MediaKind media_kind(const std::filesystem::path& path);

// ".mp4 .mkv ... .wav ...", as an error says what was looked for.
std::string known_media_extensions();

// The clip that one file (or other source) makes: a video may have both modalities, a sound or a picture has
// one. The id is left empty.
ClipSource clip_of_file(const MediaSource& source);

struct FolderScan {
  std::vector<std::filesystem::path> media;  // sorted by name, folder by folder
  int64_t num_other_files = 0;
};

// Every media file below `folder`. Hidden files and folders are left out, links are followed (but not into a
// folder that is being searched), a folder that cannot be read is logged.
FolderScan find_media_files(const std::filesystem::path& folder, Log& log);

}  // namespace cavmae
