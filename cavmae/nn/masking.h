// Which patches are masked. Note [Mask stream]: for one seed the unstructured masks are bit for bit those of
// the authors' code: rand(B, L) for audio, then for video, argsort ascending, the first int(L * (1 - ratio))
// are kept.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "cavmae/core/torch.h"
#include "cavmae/nn/patches.h"

namespace cavmae {

enum class AudioMaskMode { unstructured, time, frequency, time_frequency };
inline std::vector<std::pair<AudioMaskMode, std::string>> option_names(AudioMaskMode) {
  return {{AudioMaskMode::unstructured, "unstructured"},
          {AudioMaskMode::time, "time"},
          {AudioMaskMode::frequency, "frequency"},
          {AudioMaskMode::time_frequency, "time_frequency"}};
}

struct MaskOptions {
  double mask_ratio_audio = 0.75;
  double mask_ratio_video = 0.75;
  AudioMaskMode audio_mask_mode = AudioMaskMode::unstructured;

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("mask_ratio_audio", o.mask_ratio_audio, "share of the audio patches that is masked");
    v("mask_ratio_video", o.mask_ratio_video, "share of the video patches that is masked");
    v("audio_mask_mode", o.audio_mask_mode, "which audio patches are masked together");
  }
  // Both ratios lie in 0 to 1; 1 hides a whole stream, as one does to rebuild it from the other.
  void validate() const;
};

// One stream's mask. `keep` then `masked` of a clip are together a permutation of its L patches.
struct StreamMask {
  torch::Tensor keep;     // int64 [B, N], patches that stay visible, in the order of the draw; N may be 0
  torch::Tensor masked;   // int64 [B, L - N]
  torch::Tensor restore;  // int64 [B, L], the inverse permutation
  torch::Tensor mask;     // float [B, L], 1 where a patch is masked
};

struct Masks {
  StreamMask audio, video;  // a stream that the network lacks stays undefined
};

// How many of `length` patches stay visible: int(length * (1 - ratio)).
int64_t num_kept(int64_t length, double ratio);

// Note [Structured masks]: `time` hides int(columns * ratio) whole columns, `frequency` int(rows * ratio)
// whole rows, `time_frequency` int(columns * ratio * 0.7) columns and int(rows * ratio * 0.7) rows, all
// random and anew for each clip. Every clip keeps the same number of patches, as without structure: where
// rows and columns hide too few, random patches are masked besides; where they hide too many, random ones of
// theirs are kept.
StreamMask draw_mask(int64_t batch, const PatchGrid& grid, double ratio, AudioMaskMode mode,
                     torch::Generator generator);

}  // namespace cavmae
