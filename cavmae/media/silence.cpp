#include <algorithm>
#include <cmath>
#include <span>

#include "cavmae/core/error.h"
#include "cavmae/media/audio_track.h"
#include "cavmae/media/demuxer.h"
#include "cavmae/media/media_reader.h"

namespace cavmae {
namespace {

constexpr float kSilentBelow = 0x1p-12f;  // -72 dB: dither, and what a lossy codec makes of nothing
constexpr float kHeardFrom = 0x1p-9f;     // -54 dB

float peak(std::span<const float> waveform) {
  float out = 0.0f;
  for (const float sample : waveform) out = std::max(out, std::abs(sample));
  return out;
}

// Whether a track has sound in the window, in whatever channel; one that cannot be read has none.
bool is_heard(const MediaSource& source, AudioRequest request) {
  request.channels = ChannelMix::loudest;
  try {
    return peak(read_audio(source, request)) >= kHeardFrom;
  } catch (const MediaError&) {
    return false;
  }
}

}  // namespace

std::string silence_of(std::span<const float> waveform, const MediaSource& source,
                       const AudioRequest& request) {
  if (peak(waveform) >= kSilentBelow) return {};
  if (is_heard(source, request))
    return request.channels == ChannelMix::mean
               ? "its channels cancel each other out in their mean; --audio-channels first takes the first"
               : "its first channel is silent and another is not; --audio-channels mean takes all of them";
  if (source.decoding() != nullptr) return {};
  const Demuxer demuxer(source, request.audio_track, request.times);
  const AVStream* chosen = demuxer.audio_stream();
  const int64_t number = chosen != nullptr ? audio_track_number(demuxer.context(), *chosen) : -1;
  for (int64_t i = 0; i < num_audio_tracks(demuxer.context()); ++i) {
    AudioRequest other = request;
    other.audio_track = i;
    other.times = nullptr;  // which are of the chosen one
    if (i != number && is_heard(source, other))
      return concat("its sound track is silent and track ", i, " is not; --audio-track ", i,
                    " takes that one");
  }
  return {};
}

}  // namespace cavmae
