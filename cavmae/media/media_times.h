// When the sound and the pictures of a file begin and end: what probing finds and reading goes by. Plain
// values.
#pragma once

#include <cstdint>
#include <vector>

namespace cavmae {

// Note [Time axis]
// A file has one time axis for its sound and its pictures: 0 is where the earlier one of the two begins, and
// no other stream, nor what the container's header says of the whole, moves it. An encoder's priming is no
// sound: pictures that begin within it begin at 0. The streams' own clock may begin again in the middle
// (pieces of MPEG-TS joined by cat); then each piece follows the one before as FFmpeg joins them, and sound
// and pictures of a piece stay together.

struct StreamTimes {
  double start_seconds = 0.0;
  double end_seconds = 0.0;  // where the last sample or picture ends; 0: not known, or no such stream
};

// From this byte of the file on, `offset_seconds` are added to what packets say.
struct ClockPiece {
  int64_t position_bytes = 0;
  double offset_seconds = 0.0;
};

// A key picture, with its time on the clock after the offset.
struct SeekPoint {
  int64_t position_bytes = 0;
  double seconds = 0.0;
};

struct MediaTimes {
  StreamTimes audio = {}, video = {};  // on the file's axis
  double origin_seconds = 0.0;         // the axis' 0 on the streams' own clock
  double priming_seconds = 0.0;        // of the sound's encoder, where neither file nor decoder drops it
  bool measured = false;               // found by reading all packets, not in the header
  bool one_picture = false;            // the video is a picture that stays as long as there is sound
  bool cut_off = false;                // measured, and the file ends within a packet: how long it was is lost
  std::vector<ClockPiece> pieces = {};    // empty where the clock never jumps; else in order, the first at 0
  std::vector<SeekPoint> keyframes = {};  // some of them in order, where there are pieces

  double end_seconds() const {
    return audio.end_seconds > video.end_seconds ? audio.end_seconds : video.end_seconds;
  }
};

}  // namespace cavmae
