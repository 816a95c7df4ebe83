// From one clip to its tensors: window, decode, filterbank, pictures, augmentation. Immutable; safe from
// several threads at once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "cavmae/core/log.h"
#include "cavmae/core/torch.h"
#include "cavmae/data/clip.h"
#include "cavmae/data/view.h"
#include "cavmae/data/window.h"
#include "cavmae/features/input_spec.h"
#include "cavmae/media/media_times.h"

namespace cavmae {

class OpenedClip;

// A clip before its filterbank, which is where two clips can be mixed.
struct RawClip {
  torch::Tensor
      waveform;  // float [n] at the spec's rate, at least one frame long; undefined when the clip has none
  torch::Tensor video;  // as Sample::video
};
// mix_waveforms() and mix_pictures() of the modalities, which both clips must have alike.
RawClip mix_clips(const RawClip& first, const RawClip& second, double first_share);

// What is read of a clip: which sides, and the window on its files' time axis.
struct ReadPlace {
  bool has_audio = false, has_video = false;
  ClipWindow window;
};

class ClipReader {
 public:
  // `cache_dir` may be empty: no cache. With one, a random window of a longer file is one of a few (see
  // num_fixed_windows()). `log`, when given, hears of what CachedDecoder says, once a clip, and once of
  // clips that list fewer pictures than aligned segments ask for.
  ClipReader(const InputSpec& spec, const std::filesystem::path& cache_dir = {},
             std::shared_ptr<Log> log = nullptr);
  ~ClipReader();

  const InputSpec& spec() const;

  // Reads a clip. What is random depends on `seed` alone (the loader mixes it from run seed, epoch and clip
  // id). Throws MediaError naming the file and what is missing or broken; SideError where it is one side.
  // `opened`: of a clip whose windows are read in turn, each as a clip that is pinned to its start
  // (windows.h); else nullptr.
  Sample read(const ClipSource& clip, const ViewOptions& view, Need need, uint64_t seed,
              OpenedClip* opened = nullptr) const;

  // Where in the clip each side is that is needed and there. An end of 0: a picture, or not known. Throws
  // MediaError where `read` would before it decodes.
  StreamTimes clip_times(const ClipSource& clip, Need need) const;

  // What `read` would read of it without anything random, and from where. Throws likewise.
  ReadPlace place(const ClipSource& clip, Need need) const;

  // The same in two steps, with mix_clips() between them; `seed` draws the same things in both.
  RawClip read_raw(const ClipSource& clip, const ViewOptions& view, Need need, uint64_t seed) const;
  Sample finish(const RawClip& clip, const ViewOptions& view, uint64_t seed) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cavmae
