// An opened media source: its streams, the one audio and the one video stream that count, its time axis.
// Private to this folder; belongs to one thread.
#pragma once

#include <cstdint>
#include <string>

#include "cavmae/core/time_limit.h"
#include "cavmae/media/ffmpeg.h"
#include "cavmae/media/media_io.h"
#include "cavmae/media/media_source.h"

namespace cavmae {

class Demuxer {
 public:
  // Throws MediaError when the source is missing, unreadable, empty or no media file.
  explicit Demuxer(const MediaSource& source);

  AVFormatContext& context() const { return *context_; }

  // The streams that are decoded, or nullptr. Cover art is no video stream.
  AVStream* audio_stream() const { return audio_; }
  AVStream* video_stream() const { return video_; }
  bool is_picture() const;  // a jpg, png, webp, ...

  // The same, with a MediaError that names what is missing.
  AVStream& require_audio_stream() const;
  AVStream& require_video_stream() const;

  // Packets of the other streams are dropped as early as the container allows.
  void read_only(const AVStream& stream);

  // Where the file's time 0 lies on the streams' own axis.
  double origin_seconds() const;
  // The end of a stream as the file declares it, counted from the file's time 0; 0 when it is not known or
  // a mere estimate.
  double declared_end_seconds(const AVStream& stream) const;

  // Moves to the last keyframe at or before `timestamp` (in the stream's time base); false when the file
  // cannot do that, and then the position is undefined until restart().
  bool seek(const AVStream& stream, int64_t timestamp);
  // Opens the file anew, at its beginning. References to its streams end.
  void restart();

  // After av_read_frame() has failed: throws when the source could not be read, which is no end of the file.
  void throw_if_unreadable() const { io_.throw_if_failed(); }
  // To be called between packets: throws when the thread's TimeLimit has run out.
  void check_time() const { TimeLimit::check(name()); }
  // Throws MediaError when FFmpeg has refused a picture, or streams, for more than one file may ask for.
  void fail_if_too_large() const;
  [[noreturn]] void fail(const std::string& what) const;
  [[noreturn]] void fail_of_size(int64_t width, int64_t height) const;
  [[noreturn]] void fail_of_memory() const;

 private:
  void open();
  const AVInputFormat& find_format(AVIOContext& io) const;
  [[noreturn]] void fail_to_open(int error) const;
  void choose_streams();
  const std::string& name() const { return source_.name(); }

  MediaSource source_;
  MediaIo io_;  // before what reads from it
  ffmpeg::InputContext context_;
  AVStream* audio_ = nullptr;
  AVStream* video_ = nullptr;
  int only_index_ = -1;
};

}  // namespace cavmae
