#include "cavmae/media/audio_reader.h"

#include <memory>
#include <optional>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/media/audio_window_reader.h"
#include "cavmae/media/media_decoding.h"
#include "cavmae/media/media_sequence.h"
#include "cavmae/media/sequence_of.h"

namespace cavmae {
namespace {

constexpr double kLongestSeconds = 1e7;  // of a window

void check_request(const AudioRequest& request) {
  CAVMAE_CHECK(request.start_seconds >= 0.0 && request.start_seconds < kLongestSeconds,
               "read_audio: start_seconds is ", request.start_seconds, "; it must be 0 or more");
  CAVMAE_CHECK(request.duration_seconds > 0.0 && request.duration_seconds < kLongestSeconds,
               "read_audio: duration_seconds is ", request.duration_seconds, "; it must be above 0");
  CAVMAE_CHECK(request.sample_rate_hz >= 1000 && request.sample_rate_hz <= 384000,
               "read_audio: sample_rate_hz is ", request.sample_rate_hz, "; it must be 1000 to 384000");
}

}  // namespace

std::vector<float> read_audio(const MediaSource& source, const AudioRequest& request, AudioStats& stats,
                              std::optional<SoundSkip> skip) {
  check_request(request);
  AudioWindowReader reader(source, request, stats, skip);
  if (auto waveform = reader.read(request.start_seconds)) return std::move(*waveform);
  // A track that has a decoder and still cannot be decoded (it is encrypted, or another codec than it says)
  // gives way as well.
  AudioRequest other = request;
  for (int64_t track = 0; track < reader.num_tracks() && !request.audio_track; ++track) {
    if (track == reader.track()) continue;
    other.audio_track = track;
    try {
      if (auto waveform = AudioWindowReader(source, other, stats, skip).read(request.start_seconds))
        return std::move(*waveform);
    } catch (const MediaError&) {  // the next one may do
    }
  }
  reader.fail_undecodable();
}

std::vector<float> read_audio(const MediaSource& source, const AudioRequest& request, bool* has_gaps) {
  if (const MediaDecoding* elsewhere = source.decoding()) return elsewhere->audio(request, has_gaps);
  AudioStats stats;
  std::vector<float> waveform = read_audio(source, request, stats);
  if (has_gaps != nullptr) *has_gaps = stats.gaps > 0;
  return waveform;
}

struct AudioSequence::State {
  MediaSource source;
  AudioRequest request;  // whose times are these
  std::optional<MediaTimes> times = std::nullopt;
  AudioStats stats = {};
  SequenceOf<AudioWindowReader> readers = {};
};

AudioSequence::AudioSequence(const MediaSource& source, const AudioRequest& request)
    : state_(new State{.source = source, .request = request}) {
  if (request.times == nullptr) return;
  state_->times = *request.times;
  state_->request.times = &*state_->times;
}

AudioSequence::~AudioSequence() = default;

std::vector<float> AudioSequence::read(double start_seconds, bool* has_gaps) {
  State& s = *state_;
  const int64_t gaps = s.stats.gaps;
  CAVMAE_CHECK(start_seconds >= s.request.start_seconds, "AudioSequence: the starts must ascend");
  s.request.start_seconds = start_seconds;
  check_request(s.request);
  const auto open = [&] {
    return std::make_unique<AudioWindowReader>(s.source, s.request, s.stats, std::nullopt);
  };
  std::vector<float> found = s.readers.read(open, [&](AudioWindowReader& reader) {
    auto waveform = reader.read(start_seconds);
    return waveform ? std::move(*waveform) : read_audio(s.source, s.request, s.stats);
  });
  if (has_gaps != nullptr) *has_gaps = s.stats.gaps > gaps;
  return found;
}

}  // namespace cavmae
