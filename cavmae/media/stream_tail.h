// The last packets of a stream, which show whether the file ends in the middle of one. Private to this
// folder; one owner.
#pragma once

#include <deque>

#include "cavmae/media/demuxer.h"

namespace cavmae {

class StreamTail {
 public:
  explicit StreamTail(const AVStream& stream) : stream_(stream) {}

  // Every packet of the stream in order; what is needed is kept.
  void add(const AVPacket& packet);

  // After the last packet.
  bool is_cut_off(const Demuxer& demuxer) const;

 private:
  bool declares_more(const Demuxer& demuxer) const;
  bool last_packet_is_broken() const;

  const AVStream& stream_;
  std::deque<ffmpeg::Packet> packets_;  // a picture's from its keyframe on
  size_t bytes_ = 0;
  int64_t num_samples_ = 0;  // of sound without compression
};

}  // namespace cavmae
