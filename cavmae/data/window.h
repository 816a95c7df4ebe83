// Which part of a file makes a clip. Free functions; safe from any thread.
#pragma once

#include <optional>

#include "cavmae/core/random.h"

namespace cavmae {

// The part [start, start + length) of a file, in seconds.
struct ClipWindow {
  double start_seconds = 0.0;
  double length_seconds = 0.0;  // of the window, or of what the file has of it
};

enum class WindowPlace {
  middle,
  random,         // anywhere
  random_of_few,  // one of num_fixed_windows(), so that a cache can hold them all
};

struct WindowRequest {
  double file_seconds = 0.0;   // where what is wanted of the file ends; 0: not known
  double begin_seconds = 0.0;  // where it begins; below file_seconds
  double window_seconds = 10.0;
  WindowPlace place = WindowPlace::middle;
  std::optional<double> pinned_start = std::nullopt;  // goes before `place`
};

// What is not longer than the window is taken whole. A pinned start may lie before the beginning. Throws
// MediaError (without the file's name) when the pinned start is not inside the file.
ClipWindow choose_window(const WindowRequest& request, Random& random);

// Windows of a file that random_of_few draws from, evenly spread from its start to its end, the middle one
// among them: 1, 3, 5, 7 or 9, at least half a second apart.
int64_t num_fixed_windows(double file_seconds, double window_seconds);

}  // namespace cavmae
