// One stream of an opened file as decoded frames, damaged packets left out. Private to this folder; belongs
// to one thread.
#pragma once

#include <cstdint>
#include <functional>

#include "cavmae/media/demuxer.h"
#include "cavmae/media/ffmpeg.h"

namespace cavmae {

// Where decoding may go on after a seek: at any packet (sound) or at a keyframe (pictures).
enum class ResumeAt { any_packet, keyframe };

class Decoder {
 public:
  // Throws MediaError when the decoder does not start.
  Decoder(Demuxer& demuxer, const AVStream& stream);

  // The next frame in the order of presentation; false at the end of the stream.
  bool next(AVFrame& frame);
  // Reads packets without decoding them for as long as `passes` says so, and forgets what is under way. The
  // first that it does not pass is decoded next. False at the end of the stream.
  bool pass_over(const std::function<bool(const AVPacket&)>& passes);
  // To be called after a seek: forgets what is under way.
  void flush(ResumeAt resume);

  AVCodecContext& context() { return *context_; }
  // What FFmpeg said of the last packet that it could not decode; 0: of none.
  int last_error() const { return last_error_; }
  int64_t num_errors() const { return num_errors_; }  // packets or frames that could not be decoded
  // Called before a packet is decoded.
  void on_packet(std::function<void(const AVPacket&)> observer) { observer_ = std::move(observer); }

 private:
  bool read_packet();
  void note_error(int error);
  void send_packet();

  Demuxer& demuxer_;
  int stream_index_;
  ffmpeg::CodecContext context_;
  ffmpeg::Packet packet_ = ffmpeg::make_packet();
  std::function<void(const AVPacket&)> observer_;
  int last_error_ = 0;
  int64_t num_errors_ = 0;
  bool draining_ = false;
  bool holds_packet_ = false;  // packet_ was read and waits to be decoded
  bool awaits_keyframe_ = false;
};

}  // namespace cavmae
