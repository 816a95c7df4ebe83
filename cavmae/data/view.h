// How a clip is looked at, and what that makes of its filterbank: masks, segments, mean and deviation, noise,
// roll.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cavmae/core/torch.h"
#include "cavmae/features/input_spec.h"

namespace cavmae {

enum class FrameChoice { random, middle, all };
inline std::vector<std::pair<FrameChoice, std::string>> option_names(FrameChoice) {
  return {{FrameChoice::random, "random"}, {FrameChoice::middle, "middle"}, {FrameChoice::all, "all"}};
}

// How a clip is looked at: training draws, evaluation does not.
struct ViewOptions {
  bool random_window = false;  // else the middle of a longer file
  // Pins the window of every clip, in seconds; goes before the clip's own.
  std::optional<double> window_start = std::nullopt;
  FrameChoice frames = FrameChoice::middle;
  bool noise = false;  // see FinishOptions of features/augment.h
  bool roll = false;   // the same
  // mask_frequencies() and mask_times(), before the filterbank is normalised; 0: none
  int64_t frequency_mask = 0;
  int64_t time_mask = 0;
  // What searching sets, and no option does. Aligned segments of a clip that ends before its window are
  // spread over what there is of it, as its pictures are; else over the window, as the authors spread them.
  bool fits_segments = false;
  std::optional<double> until_seconds = std::nullopt;  // the clip ends here, whichever side goes on

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("random_window", o.random_window,
      "take a random window of a longer file each epoch instead of the middle one");
    v("window_start", o.window_start, "pin the window's start, in seconds ('none': do not)");
    v("frames", o.frames, "which of a clip's pictures are used");
    v("noise", o.noise, "add random noise to the filterbank");
    v("roll", o.roll, "roll the filterbank in time by a random amount");
    v("frequency_mask", o.frequency_mask, "widest band of mel bins that is hidden at random (0: none)");
    v("time_mask", o.time_mask, "longest stretch of frames that is hidden at random (0: none)");
  }

  // Whether a clip looks the same every time that it is read.
  bool is_deterministic() const;
};

// The training view of the paper: random window, random frame, noise and roll.
ViewOptions training_view();

// Which of the num_frames pictures a view takes, counted from 0; not for FrameChoice::all. `seed` is the
// clip's.
int64_t picture_of(const InputSpec& spec, const ViewOptions& view, uint64_t seed);

// What the network is fed, from the filterbank of the window, float [t, F], which is changed. float [T, F];
// with aligned segments (features/segments.h) that of the view's picture, or of each picture, [K, T, F].
// `seconds`: how much of the window there is, where the view asks.
torch::Tensor finish_audio(torch::Tensor fbank, const InputSpec& spec, const ViewOptions& view, uint64_t seed,
                           double seconds);

}  // namespace cavmae
