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
// they have not (Vorbis or PCM in Matroska) seeking is not exact, and the caller reads on from the beginning;
// so it does when the timestamps behind a seek do not agree with the count or the lattice (is_steady()). In
// Ogg a single timestamp behind a seek may be off where Vorbis changes the size of its blocks.
class SampleClock {
 public:
  SampleClock(const AVStream& stream, double origin_seconds);

  // The first sample of the frame. Frames come in order, the stream's very first one first.
  int64_t place(const AVFrame& frame);
  // The same for a packet that is not decoded and would have given a frame of `num_samples`.
  int64_t place(const AVPacket& packet, int64_t num_samples, int64_t rate_hz);
  // Where the frame that follows begins, if nothing lacks.
  int64_t next() const { return expected_.value_or(0); }
  // The next frame does not follow the last one. From here to settle() timestamps are trusted more than the
  // count, and watched.
  void after_seek() {
    expected_.reset();
    settling_ = true;
    in_doubt_ = false;
    agreeing_ = kEnoughAgreeing;
  }
  void settle() { settling_ = false; }
  // The next frame is of another piece of the file's clock (Note [Time axis]): it lies where its timestamp
  // says.
  void begin_piece() { begins_piece_ = true; }
  // Whether timestamps, count and lattice have agreed to a tick of late.
  bool is_steady() const { return !in_doubt_ && agreeing_ >= kEnoughAgreeing; }
  bool exact_after_seek(int64_t rate_hz) const { return is_fine(rate_hz) || constant_frames_; }

 private:
  static constexpr int kEnoughAgreeing = 3;

  // A stretch of sound; what its timestamp says of its first sample is absent where it has none.
  struct Stretch {
    std::optional<int64_t> stamped;
    int64_t num_samples = 0, rate_hz = 0;
  };

  bool is_fine(int64_t rate_hz) const { return time_base_.num * rate_hz <= time_base_.den; }
  std::optional<int64_t> from_timestamp(int64_t timestamp, int64_t rate_hz) const;
  int64_t place(const Stretch& stretch);
  int64_t place_anew(const Stretch& stretch);
  int64_t on_lattice(const Stretch& stretch) const;
  bool agree(int64_t a, int64_t b, int64_t rate_hz) const;

  AVRational time_base_;
  double origin_seconds_;
  bool constant_frames_;
  std::optional<int64_t> first_end_;  // of the very first frame, which priming may have shortened
  std::optional<int64_t> expected_;   // the first sample of the frame that follows
  bool settling_ = false, in_doubt_ = false, begins_piece_ = false;
  int agreeing_ = kEnoughAgreeing;  // frames in a row whose timestamps agree with the count
};

}  // namespace cavmae
