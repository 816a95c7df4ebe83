// The sources of one clip, held open while its windows are read front to back. One owner; not for several
// threads at once.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/data/clip_decoder.h"
#include "cavmae/media/media_sequence.h"

namespace cavmae {

// When the pictures at `positions` of the `num_frames` of a window are shown, in seconds.
std::vector<double> picture_times(const ClipWindow& window, const std::vector<int64_t>& positions,
                                  int64_t num_frames);

class OpenedClip {
 public:
  using Pictures = std::vector<Picture>;

  // `starts`: of the windows that will be asked for, ascending.
  explicit OpenedClip(std::vector<double> starts) : starts_(std::move(starts)) {}

  // What `read` gives, asked once for each source.
  const FileFacts& facts(const MediaSource& source, const std::function<FileFacts()>& read);

  // The windows that begin at starts(): pictures of overlapping ones are shown in turn, so that those of the
  // next ones have to be taken when they come by.
  const std::vector<double>& starts() const { return starts_; }
  void plan(std::vector<ClipWindow> windows) { windows_ = std::move(windows); }
  bool is_planned() const { return !windows_.empty(); }

  // As read_audio(); the clip has one sound.
  std::vector<float> audio(const MediaSource& source, const AudioRequest& request, bool* has_gaps);

  // A video's pictures at the positions of the window, squares. `source_times`: of the source,
  // or null. Throws MediaError.
  Pictures squares(const MediaSource& source, const MediaChoice& choice, const MediaTimes* source_times,
                   const ClipWindow& window, const std::vector<int64_t>& positions, const InputSpec& spec);

  // What `read` gives, kept for the next time: pictures that are the same in every window.
  Pictures stills(const std::vector<int64_t>& positions, const std::function<Pictures()>& read);

 private:
  // A picture, or why there is none.
  struct Square {
    Picture picture;
    std::string error;
  };
  void take(double seconds, int64_t size);

  std::vector<double> starts_;
  std::vector<ClipWindow> windows_;
  std::map<std::string, FileFacts> facts_;  // by the source's identity
  std::optional<AudioSequence> audio_;
  std::optional<FrameSequence> frames_;
  std::map<double, Square> squares_;    // by time: those of this window and, up to its end, of later ones
  Picture last_picture_, last_square_;  // of the picture that was taken last
  std::map<std::vector<int64_t>, Pictures> stills_;
};

}  // namespace cavmae
