// Which of an opened file's sound tracks is read. Private to this folder; free functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cavmae/media/ffmpeg.h"

namespace cavmae {

// Sound tracks are counted from 0 in the file's order; without a number it is the file's default, which gives
// way to the first one that FFmpeg can decode where it cannot decode that. Sound of another
// programme than that of `video` (or nullptr) is not taken unasked. nullptr when there is none;
// why_no_audio() tells why.
AVStream* choose_audio_stream(AVFormatContext& context, std::optional<int64_t> track, const AVStream* video);

int64_t num_audio_tracks(const AVFormatContext& context);
// The number of a sound stream among the tracks.
int64_t audio_track_number(const AVFormatContext& context, const AVStream& stream);

// To be said after the file's name: "has no audio", "has 2 sound tracks, so there is no track 2; ...".
std::string why_no_audio(const AVFormatContext& context, std::optional<int64_t> track);

}  // namespace cavmae
