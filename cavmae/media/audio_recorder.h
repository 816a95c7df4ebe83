// A stretch of decoded sound at the file's own rate, kept while frames come in. Private to this folder; one
// owner.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "cavmae/media/audio_samples.h"

namespace cavmae {

class AudioRecorder {
 public:
  explicit AudioRecorder(ChannelMix channels) : channels_(channels) {}

  // The stretch is now this one, which begins no earlier than the last one; what they share is kept.
  void move_to(int64_t begin, int64_t end) {
    const auto passed = std::min<int64_t>(begin - begin_, static_cast<int64_t>(samples_.size()));
    samples_.erase(samples_.begin(), samples_.begin() + passed);
    begin_ = begin;
    end_ = end;
    recorded_end_ = begin + static_cast<int64_t>(samples_.size());
  }

  // Keeps what of the frame lies within and behind all frames before; gaps stay silent. The last frame may
  // come again after move_to(). False for an unknown sample format.
  bool add(const AVFrame& frame, int64_t start) {
    if (start != last_start_) end_before_ = last_end_;
    last_start_ = start;
    last_end_ = std::max(last_end_, start + frame.nb_samples);
    const int64_t from = std::max({start, begin_, end_before_});
    const int64_t to = std::min<int64_t>(start + frame.nb_samples, end_);
    if (from >= to) return true;
    if (to > recorded_end_) {
      samples_.resize(static_cast<size_t>(to - begin_), 0.0f);
      recorded_end_ = to;
    }
    return copy_mono(frame, channels_, from - start, to - from, samples_.data() + (from - begin_));
  }

  bool complete() const { return last_end_ >= end_; }
  int64_t begin() const { return begin_; }
  int64_t last_end() const { return last_end_; }  // of everything that was decoded
  const std::vector<float>& samples() const { return samples_; }

 private:
  int64_t begin_ = 0, end_ = 0, recorded_end_ = 0;
  int64_t last_start_ = INT64_MIN, last_end_ = 0;
  int64_t end_before_ = 0;  // of the frames before the last one
  ChannelMix channels_;
  std::vector<float> samples_;
};

}  // namespace cavmae
