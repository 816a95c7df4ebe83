// Reading media: what a file (or another MediaSource; a path is one) holds, its audio, its pictures.
// Everything that FFmpeg reads is accepted. Free functions without state; safe from several threads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/core/channel_mix.h"
#include "cavmae/core/torch.h"
#include "cavmae/media/media_source.h"
#include "cavmae/media/media_times.h"

namespace cavmae {

struct MediaInfo {
  bool has_audio = false;
  bool has_video = false;               // moving pictures or a single picture
  bool is_picture = false;              // a single picture (jpg, png, webp, cover art excluded)
  bool has_undecodable_audio = false;   // has sound, but none that FFmpeg can decode
  bool has_undecodable_video = false;   // the same of moving pictures
  double duration_seconds = 0.0;        // to the end of the longer of the two; 0: a picture, or not known
  MediaTimes times;                     // of the sound and the pictures, each for itself
  int64_t width_px = 0, height_px = 0;  // as shown, after rotation
  double frame_rate_hz = 0.0;
  int64_t rotation_degrees = 0;  // clockwise: 0, 90, 180 or 270
  int64_t sample_rate_hz = 0;
  int64_t num_channels = 0;
  int64_t audio_track = 0;  // of which these are
  int64_t num_audio_tracks = 0;
  std::string container, video_codec, audio_codec;
};

// Which of a source's streams count.
struct MediaChoice {
  // Counted from 0 among the sound tracks; nothing: the default one, or the first that can be decoded.
  std::optional<int64_t> audio_track = std::nullopt;
};

// Throws MediaError naming the source when it is missing, unreadable, empty or no media file, and when it has
// sound but not the track chosen, or that one cannot be decoded.
MediaInfo probe_media(const MediaSource& source, const MediaChoice& choice = {});

struct AudioRequest {
  double start_seconds = 0.0;
  double duration_seconds = 10.0;
  int64_t sample_rate_hz = 16000;
  ChannelMix channels = ChannelMix::first;
  std::optional<int64_t> audio_track = std::nullopt;  // see MediaChoice
  const MediaTimes* times = nullptr;  // those of probe_media() with the same choice: saves finding them again
};

// The audio of a window: float [n] in [-1, 1], n <= duration * rate (fewer where the sound ends; silence
// before it begins). Sample-exact at the start also in the middle of a file. Throws MediaError: no audio,
// start beyond the end, damaged.
torch::Tensor read_audio(const MediaSource& source, const AudioRequest& request);

// The pictures shown at `times_seconds` (ascending, counted from the start of its sound or pictures,
// whichever comes first): uint8 [H, W, 3] each,
// rotated as the metadata asks. A picture is decoded once and only what is needed is decoded; a time past the
// last picture gives the last picture; equal results may share memory. A single picture answers every time.
// `times`: those of probe_media(), which saves finding them once more. Throws MediaError.
std::vector<torch::Tensor> read_frames(const MediaSource& source, const std::vector<double>& times_seconds,
                                       const MediaTimes* times = nullptr);

// A single picture: uint8 [H, W, 3], what is transparent on white. Throws MediaError.
torch::Tensor read_image(const MediaSource& source);

}  // namespace cavmae
