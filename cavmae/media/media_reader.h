// Reading media: what a file (or another MediaSource; a path is one) holds, its audio, its pictures.
// Everything that FFmpeg reads is accepted. Free functions without state; safe from several threads.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cavmae/core/channel_mix.h"
#include "cavmae/media/media_source.h"
#include "cavmae/media/media_times.h"
#include "cavmae/picture/picture.h"

namespace cavmae {

struct MediaInfo {
  // Also of what this FFmpeg cannot decode (see the problems), which read_audio() and read_frames() then say.
  bool has_audio = false;
  bool has_video = false;               // moving pictures or a single picture
  bool is_picture = false;              // a single picture (jpg, png, webp, cover art excluded)
  double duration_seconds = 0.0;        // to the end of the longer of the two; 0: a picture, or not known
  MediaTimes times;                     // of the sound and the pictures, each for itself
  int64_t width_px = 0, height_px = 0;  // as shown, after rotation
  double frame_rate_hz = 0.0;
  int64_t rotation_degrees = 0;     // clockwise: 0, 90, 180 or 270
  bool is_mirrored = false;         // left and right change places before that
  double pixel_aspect_ratio = 1.0;  // width of a pixel over its height; pictures are read as they are stored
  std::string hdr;                  // "PQ" or "HLG"; empty: none. Pictures are read without tone mapping
  int64_t sample_rate_hz = 0;
  int64_t num_channels = 0;
  int64_t audio_track = 0;  // of which these are
  int64_t num_audio_tracks = 0;
  std::string container, video_codec, audio_codec;
  std::string audio_problem, video_problem;  // why what is there cannot be decoded; else empty
};

// Which of a source's streams count, and how its pictures are turned.
struct MediaChoice {
  // Counted from 0 among the sound tracks; nothing: the default one, or the first that can be decoded.
  std::optional<int64_t> audio_track = std::nullopt;
  bool exif = true;  // photos are turned as their EXIF orientation asks
};

// Throws MediaError naming the source when it is missing, unreadable, empty or no media file.
MediaInfo probe_media(const MediaSource& source, const MediaChoice& choice = {});

struct AudioRequest {
  double start_seconds = 0.0;
  double duration_seconds = 10.0;
  int64_t sample_rate_hz = 16000;
  ChannelMix channels = ChannelMix::first;
  std::optional<int64_t> audio_track = std::nullopt;  // see MediaChoice
  const MediaTimes* times = nullptr;  // those of probe_media() with the same choice: saves finding them again
};

// The audio of a window: samples in [-1, 1], n <= duration * rate (fewer where the sound ends; silence
// before it begins). Sample-exact at the start also in the middle of a file. Throws MediaError: no audio,
// start beyond the end, damaged. `has_gaps`, where not null: whether some of it could not be decoded and is
// silent, or lacking where the gap is shorter than 50 ms.
std::vector<float> read_audio(const MediaSource& source, const AudioRequest& request,
                              bool* has_gaps = nullptr);

// Why a window of read_audio() is silent although the file has sound there, with the cure: "its first channel
// is silent and another is not; --audio-channels mean takes all of them". Empty where the waveform is not
// silent, or all is.
std::string silence_of(std::span<const float> waveform, const MediaSource& source,
                       const AudioRequest& request);

// The pictures shown at `times_seconds` (ascending, counted from the start of its sound or pictures,
// whichever comes first), rotated as the metadata asks. A picture is decoded once and only what is needed is
// decoded; a time past the last picture gives the last picture, which is one with it (Picture::shares()). A
// single picture answers every time.
// `times`: those of probe_media() with the same choice, which saves finding them once more; may be null.
// Throws MediaError.
std::vector<Picture> read_frames(const MediaSource& source, const std::vector<double>& times_seconds,
                                 const MediaChoice& choice = {}, const MediaTimes* times = nullptr);

// A single picture, what is transparent on white. Throws MediaError.
Picture read_image(const MediaSource& source, const MediaChoice& choice = {});

// resize_and_crop() of what read_frames() and read_image() give.
std::vector<Picture> read_squares(const MediaSource& source, const std::vector<double>& times_seconds,
                                  int64_t size_px, const MediaChoice& choice = {},
                                  const MediaTimes* times = nullptr);
Picture read_square(const MediaSource& source, int64_t size_px, const MediaChoice& choice = {});

}  // namespace cavmae
