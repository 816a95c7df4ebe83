// One clip: where its sound and its pictures come from, and what is known of it. To name it opens no file.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cavmae/media/media_source.h"

namespace cavmae {

// `audio` and `video` may be the same source, which then may turn out to have one of them alone; that of a
// modality which the clip lacks is empty.
struct ClipSource {
  std::string id;                   // unique in a list
  MediaSource audio;                // alone or that of a video; may be empty
  MediaSource video;                // a video or a picture; may be empty
  std::vector<MediaSource> frames;  // separate pictures in order, instead of `video`
  std::vector<std::string> labels;
  std::optional<double> start_seconds;  // pins the window
  // With it, `start_seconds` to here is a part of a longer recording, and a file that ends before is that
  // part alone.
  std::optional<double> end_seconds;
  std::string file;  // of one of several windows (windows.h): the id of the clip that it is cut from; else ""
};

// What a clip's list and the extensions of its files promise of it; what is in them only opening tells.
struct PromisedModalities {
  bool audio = false, video = false;
};
PromisedModalities promised_modalities(const ClipSource& clip);

}  // namespace cavmae
