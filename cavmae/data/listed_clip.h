// A clip as a list names it: paths as text, before anything is looked up. Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cavmae {

struct ListedClip {
  std::string id;                         // empty: named after its file
  std::string path;                       // a file that may have sound, video or both
  std::string audio, video;               // instead: one of each, or one alone
  std::vector<std::string> frames;        // instead of `video`: pictures in order
  std::string frame_folder;               // instead of `frames`: the authors' FOLDER/frame_{0-9}/ID.jpg
  std::optional<std::string> label_text;  // labels as one text, which is yet to be cut; or else
  std::vector<std::string> labels;
  std::optional<double> start_seconds, end_seconds;
  int64_t number = 0;  // its line or entry

  // Its texts keep their memory.
  void clear() {
    for (std::string* text : {&id, &path, &audio, &video, &frame_folder}) text->clear();
    frames.clear();
    label_text.reset();
    labels.clear();
    start_seconds.reset();
    end_seconds.reset();
    number = 0;
  }
};

}  // namespace cavmae
