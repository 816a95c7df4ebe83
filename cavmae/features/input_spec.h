// What a network is fed: how a part of a media file becomes a filterbank and pictures. A checkpoint keeps it
// as its metadata "features". Plain values.
#pragma once

#include <cstdint>
#include <optional>

#include "cavmae/core/channel_mix.h"

namespace cavmae {

// What sound belongs to a picture.
//   clip:    all of the clip's
//   picture: a segment of audio_window_frames around the picture (Note [Aligned segments])
enum class Alignment { clip, picture };
inline std::vector<std::pair<Alignment, std::string>> option_names(Alignment) {
  return {{Alignment::clip, "clip"}, {Alignment::picture, "picture"}};
}

struct InputSpec {
  int64_t num_fbank_frames = 1024;  // T
  int64_t num_mel_bins = 128;       // F
  int64_t image_size = 224;         // S
  int64_t num_frames = 10;          // K: pictures spread evenly over the window
  double window_seconds = 10.0;
  double fbank_mean = -5.081;
  double fbank_std = 4.4849;
  ChannelMix audio_channels = ChannelMix::first;
  int64_t sample_rate_hz = 16000;
  // Counted from 0 among the sound tracks of a file; nothing: its default one that can be decoded.
  std::optional<int64_t> audio_track = std::nullopt;
  bool exif = false;                // as of what does not say it; new runs do, see RunInput
  int64_t audio_window_frames = 0;  // of a segment; 0 with alignment clip
  Alignment alignment = Alignment::clip;

  // Files of before these fields do not have them.
  static constexpr const char* kAbsentByDefault[] = {"audio_window_frames", "alignment"};

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("num_fbank_frames", o.num_fbank_frames,
      "filterbank frames (10 ms each) of a clip, a multiple of the patch size");
    v("num_mel_bins", o.num_mel_bins, "mel bins of the filterbank");
    v("image_size", o.image_size, "side of the square picture in pixels");
    v("audio_window_frames", o.audio_window_frames,
      "filterbank frames of the segment that belongs to a picture (0: sound is the whole clip's)");
    visit_beside_shapes(o, v);
  }

  // The fields that no network's shape decides.
  template <class Self, class Visitor>
  static void visit_beside_shapes(Self& o, Visitor&& v) {
    v("num_frames", o.num_frames, "pictures spread evenly over a clip");
    v("window_seconds", o.window_seconds, "length of the part of a file that makes a clip, in seconds");
    v("fbank_mean", o.fbank_mean, "mean of the data set's filterbank ('cavmae stats' computes it)");
    v("fbank_std", o.fbank_std, "standard deviation of the data set's filterbank");
    v("audio_channels", o.audio_channels, "which audio channel is used: the first, or the mean of all");
    v("sample_rate_hz", o.sample_rate_hz, "sample rate that audio is resampled to");
    v("audio_track", o.audio_track,
      "which sound track of a file is used, counted from 0 as 'cavmae info FILE' lists them ('none': the "
      "default one that can be decoded)");
    v("exif", o.exif, "turn photos upright as their EXIF orientation asks (the authors do not)");
    v("alignment", o.alignment,
      "what sound belongs to a picture: the clip's, or the segment of audio_window_frames around it");
  }

  // One ConfigError listing every bad field.
  void validate() const;

  // T of what the network takes.
  int64_t input_frames() const {
    return alignment == Alignment::picture ? audio_window_frames : num_fbank_frames;
  }

  bool operator==(const InputSpec&) const = default;
};

}  // namespace cavmae
