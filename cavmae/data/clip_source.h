// Where clips come from: the forms that --data takes, turned into a list of clips. No media file is opened
// here.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/media/media_source.h"

namespace cavmae {

// One clip. `audio` and `video` may be the same source; that of a modality which the clip lacks is empty.
struct ClipSource {
  std::string id;                   // unique in a list
  MediaSource audio;                // alone or that of a video; may be empty
  MediaSource video;                // a video or a picture; may be empty
  std::vector<MediaSource> frames;  // separate pictures in order, instead of `video`
  std::vector<std::string> labels;
  std::optional<double> start_seconds;  // pins the window
  std::string file;  // of one of several windows (windows.h): the id of the clip that it is cut from; else ""
};

// Reads every --data argument (folder, text/CSV list, JSONL manifest, the authors' JSON) and joins them.
// Throws DataError: missing path, nothing found (with what was looked for), a broken line (file and line
// number), two clips of one id.
std::vector<ClipSource> read_clip_sources(const std::vector<std::filesystem::path>& data, Log& log);

}  // namespace cavmae
