// From a clip's sources to what a cache can hold: facts, the filterbank before normalisation, square
// pictures. Immutable; safe from several threads at once.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cavmae/core/torch.h"
#include "cavmae/data/clip_source.h"
#include "cavmae/data/file_facts.h"
#include "cavmae/data/once_log.h"
#include "cavmae/data/window.h"
#include "cavmae/features/fbank.h"
#include "cavmae/features/input_spec.h"
#include "cavmae/media/media_reader.h"

namespace cavmae {

class OpenedClip;

class ClipDecoder {
 public:
  // `warnings`, which may be null, hears of pictures of a list that give way to others.
  ClipDecoder(const InputSpec& spec, std::shared_ptr<OnceLog> warnings);

  // Opens the source, but for a picture by its name. Throws MediaError.
  FileFacts facts(const MediaSource& source) const;

  // What follows takes the source's `times`, or null, and an `opened` clip where windows of one clip are read
  // in turn, or nullptr.

  // The window's audio at the spec's rate, float [n], long enough for one frame, finite. `has_gaps`: of
  // read_audio(). Throws MediaError.
  torch::Tensor waveform(const MediaSource& source, const ClipWindow& window, const MediaTimes* times,
                         OpenedClip* opened = nullptr, bool* has_gaps = nullptr) const;
  // Why it is silent although the source is not, with the cure; else empty. See silence_of().
  std::string silence(const torch::Tensor& waveform, const MediaSource& source, const ClipWindow& window,
                      const MediaTimes* times) const;
  // Its filterbank, float [t, F], t >= 1. waveform: float [n], of that length.
  torch::Tensor fbank(const torch::Tensor& waveform) const;

  // Distinct pictures that a window has: K of a video, 1 of a picture, at most K of a list.
  int64_t num_pictures(const ClipSource& clip, const FileFacts& video) const;
  // Those at `positions` (ascending, below num_pictures()): uint8 [S, S, 3] each. Decodes no others.
  std::vector<torch::Tensor> pictures(const ClipSource& clip, const FileFacts& video,
                                      const ClipWindow& window, const std::vector<int64_t>& positions,
                                      OpenedClip* opened = nullptr) const;

 private:
  MediaChoice media_choice() const;
  AudioRequest audio_request(const ClipWindow& window, const MediaTimes* times) const;
  std::vector<Picture> squares(const ClipSource& clip, const FileFacts& video, const ClipWindow& window,
                               const std::vector<int64_t>& positions, OpenedClip* opened) const;
  std::vector<Picture> still_pictures(const ClipSource& clip, const FileFacts& video,
                                      const std::vector<int64_t>& positions) const;
  std::vector<Picture> listed_pictures(const ClipSource& clip, const std::vector<int64_t>& positions) const;

  InputSpec spec_;
  Fbank fbank_;
  std::shared_ptr<OnceLog> warnings_;
};

}  // namespace cavmae
