// Where decoded sound lies on a file's time axis, to the sample. Private to this folder; one owner.
#pragma once

#include <cstdint>
#include <optional>

#include "cavmae/media/ffmpeg.h"

namespace cavmae {

// Note [Sample clock]
// Samples are counted at the file's own rate from the file's time 0. A frame's place comes from its
// timestamp, but containers such as Matroska round timestamps to milliseconds, and then only the sum of the
// frames before it is exact. So: frames that follow each other are counted; after a seek a coarse timestamp
// is snapped to the lattice of frame starts, which is known where the codec's frames all have one size. Where
// they have not (Vorbis or PCM in Matroska) seeking is not exact, and the caller reads on from the beginning.
class SampleClock {
 public:
  SampleClock(const AVStream& stream, double origin_seconds);

  // The first sample of the frame. Frames come in order, the stream's very first one first.
  int64_t place(const AVFrame& frame);
  // The next frame does not follow the last one.
  void after_seek() { expected_.reset(); }
  bool exact_after_seek(int64_t rate_hz) const { return is_fine(rate_hz) || constant_frames_; }

 private:
  bool is_fine(int64_t rate_hz) const { return time_base_.num * rate_hz <= time_base_.den; }
  std::optional<int64_t> from_timestamp(const AVFrame& frame) const;
  int64_t snap(int64_t start, const AVFrame& frame) const;

  AVRational time_base_;
  double origin_seconds_;
  bool constant_frames_;
  std::optional<int64_t> first_end_;  // of the very first frame, which priming may have shortened
  std::optional<int64_t> expected_;   // the first sample of the frame that follows
};

}  // namespace cavmae
