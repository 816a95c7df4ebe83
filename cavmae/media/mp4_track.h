// What stands behind VideoWriter: an opened encoder with its packets, and the file they make. Private to
// this folder; a track belongs to one thread at a time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cavmae/media/ffmpeg.h"
#include "cavmae/media/video_writer.h"

namespace cavmae {

// An opened encoder and what came out of it so far.
struct Mp4Track {
  ffmpeg::CodecContext codec;
  std::vector<ffmpeg::Packet> packets;
  int64_t next_pts = 0;  // in the codec's time base
};

// `file` is the path as errors name it; every failure is a MediaError.
ffmpeg::CodecContext open_video_encoder(const std::string& file, const VideoWriterOptions& options);
ffmpeg::CodecContext open_audio_encoder(const std::string& file, const VideoWriterOptions& options);

// Hands a picture or some samples to the encoder (null: the end) and keeps what it gives.
void encode(const std::string& file, Mp4Track& track, const AVFrame* frame);

// The bytes of a file with these tracks, whose packets are used up.
std::string mux(const std::string& file, VideoContainer container, const std::vector<Mp4Track*>& tracks);

}  // namespace cavmae
