// Writing a short video with sound as an .mp4, .webm or .ogg file. One owner; not for several threads at
// once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "cavmae/picture/picture.h"

namespace cavmae {

// What a file is and what is in it.
//   mp4:  H.264 (libx264, else another encoder that FFmpeg has) and AAC
//   webm: VP8 and Opus, which every browser plays; sound of 48 kHz
//   ogg:  Opus alone, likewise
enum class VideoContainer { mp4, webm, ogg };

struct VideoWriterOptions {
  int64_t width_px = 96, height_px = 96;  // even
  int64_t frame_rate_hz = 12;
  int64_t sample_rate_hz = 16000;
  int64_t crf = 23;  // H.264 quality; lower is better
  VideoContainer container = VideoContainer::mp4;
  std::string video_encoder = "";  // FFmpeg's name of it; empty: the best there is
};

// What is encoded is kept in memory, so that
// the file appears under its name in finish(), whole or not at all; a writer destroyed before that leaves
// nothing behind. The same input gives the same bytes. Every failure is a MediaError that names the file.
class VideoWriter {
 public:
  VideoWriter(const std::filesystem::path& path, const VideoWriterOptions& options);
  ~VideoWriter();
  VideoWriter(const VideoWriter&) = delete;
  VideoWriter& operator=(const VideoWriter&) = delete;

  void add_frame(const Picture& picture);
  // Samples in [-1, 1], mono; may be called once with all of it.
  void add_audio(std::span<const float> waveform);
  // Writes the file. A modality that got nothing has no stream in it; a video needs one of the two.
  void finish();
  // Instead of finish(): the file's bytes, and no file is written. The path is a name for errors.
  std::string finish_in_memory();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cavmae
