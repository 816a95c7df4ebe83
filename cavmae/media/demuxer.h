// An opened media source: its streams, the one audio and the one video stream that count, its time axis.
// Private to this folder; belongs to one thread.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/media/ffmpeg.h"
#include "cavmae/media/media_io.h"
#include "cavmae/media/media_source.h"
#include "cavmae/media/media_times.h"

namespace cavmae {

class Demuxer {
 public:
  // Throws MediaError when the source is missing, unreadable, empty or no media file. `audio_track`: see
  // MediaChoice. `known`: what times() of the same source and track were, which saves finding them once more;
  // may be null.
  explicit Demuxer(const MediaSource& source, std::optional<int64_t> audio_track = std::nullopt,
                   const MediaTimes* known = nullptr);

  AVFormatContext& context() const { return *context_; }
  const MediaIo& io() const { return io_; }

  // The streams that are decoded, or nullptr. Cover art is no video stream.
  AVStream* audio_stream() const { return audio_; }
  AVStream* video_stream() const { return video_; }
  // Why a kind of stream that is there counts for nothing: no decoder, a track that there is not; else empty.
  const std::string& audio_problem() const { return audio_problem_; }
  const std::string& video_problem() const { return video_problem_; }
  bool is_picture() const;  // a jpg, png, webp, ...

  // The same, with a MediaError that names what is missing.
  AVStream& require_audio_stream() const;
  AVStream& require_video_stream() const;

  // Packets of the other streams are dropped as early as the container allows. Null is no stream.
  void read_only(const AVStream& stream) { read_only({&stream}); }
  void read_only(std::initializer_list<const AVStream*> streams);

  // Where the streams lie on the file's time axis.
  const MediaTimes& times() const { return times_; }
  // Where the file's time 0 lies on the clock of the packets that read() gives.
  double origin_seconds() const { return times_.origin_seconds; }
  // Whether bytes are missing at the file's end.
  bool is_cut_off() const;

  // The next packet of the file, on a clock that never jumps (Note [Time axis]); false at the end, or at
  // damage behind which nothing more comes. Throws MediaError when the source cannot be read or the thread's
  // TimeLimit has run out.
  bool read(AVPacket& packet);
  // Of times().pieces, the one in which the stream's last packet lay; 0 where the clock never jumps.
  size_t piece_of(const AVStream& stream) const {
    const auto index = static_cast<size_t>(stream.index);
    return index < piece_.size() ? piece_[index] : 0;
  }

  // Moves to the last keyframe at or before `timestamp` (in the stream's time base); false when the file
  // cannot do that, and then the position is undefined until restart().
  bool seek(const AVStream& stream, int64_t timestamp);
  // Opens the file anew, at its beginning. References to its streams end.
  void restart();

  // Throws MediaError when FFmpeg has refused a picture, or streams, for more than one file may ask for.
  void fail_if_too_large() const;
  [[noreturn]] void fail(const std::string& what) const;
  // After nothing of the pictures could be decoded, with the decoder's last error.
  [[noreturn]] void fail_to_decode(int error) const;
  [[noreturn]] void fail_of_size(int64_t width, int64_t height) const;
  [[noreturn]] void fail_of_memory() const;

 private:
  void open();
  const AVInputFormat& find_format(AVIOContext& io) const;
  [[noreturn]] void fail_to_open(int error) const;
  void choose_streams();
  void choose_audio();
  void choose_video();
  void find_times();
  void discard_others();
  size_t piece_at(int64_t position) const;
  bool seek_to_keyframe(double seconds);
  const std::string& name() const { return source_.name(); }

  MediaSource source_;
  std::optional<int64_t> audio_track_;
  MediaIo io_;  // before what reads from it
  ffmpeg::InputContext context_;
  AVStream* audio_ = nullptr;
  AVStream* video_ = nullptr;
  std::string audio_problem_, video_problem_;
  std::vector<int> only_;  // what read_only() said
  MediaTimes times_;
  std::vector<size_t> piece_;  // of each stream: the one of times_.pieces that it is in
};

}  // namespace cavmae
