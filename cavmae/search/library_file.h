// The vocabulary of a library: a file, a moment of it, what failed. Plain values.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>

#include "cavmae/data/clip.h"

namespace cavmae {

// Times of a library are whole milliseconds.
inline int64_t to_milliseconds(double seconds) {
  return std::llround(seconds * 1000.0);
}
inline double to_seconds(int64_t milliseconds) {
  return static_cast<double>(milliseconds) / 1000.0;
}

struct LibraryFile {
  int64_t id = 0;
  std::string path;        // absolute; of the pictures where sound and pictures are files of their own; a
                           // member of a tar is called "x.tar/clip.mp4", one on a server by its URL
  std::string audio_path;  // then the sound's; else empty
  std::string stamp;       // of sizes and times, see MediaOrigin::stamp()
  std::string content;     // hash of the bytes
  int64_t end_ms = 0;      // where its last moment ends
  bool has_audio = false, has_video = false;
  int64_t num_moments = 0;
};

// A window of a file.
struct Moment {
  int64_t id = 0;
  int64_t file = 0;  // LibraryFile::id
  int64_t start_ms = 0, end_ms = 0;
};

struct FileFailure {
  std::string path;
  std::string stamp;  // of what failed: it is tried again when that changes
  ClipSide side = ClipSide::both;
  std::string reason;
};

struct LibraryCounts {
  int64_t files = 0, moments = 0, failures = 0, segments = 0, in_tail = 0;
};

}  // namespace cavmae
