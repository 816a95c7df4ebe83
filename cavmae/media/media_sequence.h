// Reading a source front to back: the same samples and pictures as read_audio() and read_frames() give, for
// windows and times that ascend, without decoding anything twice. What lies between two windows that are far
// apart is skipped. One owner each; not for several threads at once.
#pragma once

#include <memory>
#include <vector>

#include "cavmae/media/media_reader.h"

namespace cavmae {

// Both open the source when they are first asked. A window (or time) that cannot be read throws MediaError,
// and the ones after it can still be asked for; behind many in a row that failed, none is tried any more.

class AudioSequence {
 public:
  // `request.start_seconds`: no window begins before it. Keeps a copy of request.times.
  AudioSequence(const MediaSource& source, const AudioRequest& request);
  ~AudioSequence();

  // As read_audio() of the window that starts there, no earlier than the last one. A gap in what it shares
  // with the one before is told with it.
  std::vector<float> read(double start_seconds, bool* has_gaps = nullptr);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class FrameSequence {
 public:
  // `times`: those of probe_media() with the same choice, of which it keeps a copy, or null.
  explicit FrameSequence(const MediaSource& source, const MediaChoice& choice = {},
                         const MediaTimes* times = nullptr);
  ~FrameSequence();

  // As read_frames() at that time, no earlier than the last one. What answers several times in a row is one
  // picture.
  Picture at(double seconds);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cavmae
