// One track of a source, decoded front to back: the windows that are asked for. Private to this folder;
// belongs to one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "cavmae/media/audio_reader.h"
#include "cavmae/media/audio_recorder.h"
#include "cavmae/media/audio_seeking.h"
#include "cavmae/media/decoder.h"
#include "cavmae/media/demuxer.h"
#include "cavmae/media/ffmpeg.h"
#include "cavmae/media/media_source.h"
#include "cavmae/media/sample_clock.h"

namespace cavmae {

class AudioWindowReader {
 public:
  AudioWindowReader(const MediaSource& source, const AudioRequest& request, AudioStats& stats,
                    std::optional<SoundSkip> skip);

  // The window that starts there; starts come in ascending order. Nothing when not one frame of the track can
  // be decoded.
  std::optional<std::vector<float>> read(double start_seconds);

  int64_t track() const;
  int64_t num_tracks() const;
  [[noreturn]] void fail_undecodable() const;

 private:
  // Instead of a frame's first sample.
  static constexpr int64_t kEnd = INT64_MIN;
  static constexpr int64_t kNotBegun = INT64_MIN + 1;

  const AVStream& stream() const { return *demuxer_.context().streams[stream_index_]; }
  int64_t next_frame();  // its first sample, or kEnd
  bool lacks_sound_before(int64_t errors_before);
  void watch_pieces();
  int64_t skip_towards(int64_t sample, int64_t start);
  void watch_packets();
  int64_t start_over();
  int64_t seek_before(int64_t sample);
  int64_t count_up_to(int64_t sample);
  void record();
  std::vector<float> cut_out(const AudioRecorder& recorder) const;
  [[noreturn]] void fail_at_end(int64_t last_end) const;
  void check_not_cut_off(int64_t last_end) const;

  AudioRequest request_;
  AudioStats& stats_;
  Demuxer demuxer_;
  int stream_index_;
  std::optional<Decoder> decoder_;
  SampleClock clock_;
  SoundSkip skip_;
  AudioRecorder recorder_;
  ffmpeg::Frame frame_ = ffmpeg::make_frame();
  int64_t frame_start_ = kNotBegun;
  int64_t rate_hz_ = 0;
  int64_t latest_packet_ = INT64_MIN;
  size_t piece_ = 0;
  bool follows_gap_ = false;   // the frame, because packets before it could not be decoded
  double end_by_clock_ = 0.0;  // of the frame, by its timestamp
};

}  // namespace cavmae
