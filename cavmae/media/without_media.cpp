// The folder's functions in a build without the media libraries (cmake/Media.cmake).
#include "cavmae/core/error.h"
#include "cavmae/media/film_cut.h"
#include "cavmae/media/has_media.h"
#include "cavmae/media/image_writer.h"
#include "cavmae/media/media_reader.h"
#include "cavmae/media/media_sequence.h"
#include "cavmae/media/video_writer.h"

namespace cavmae {
namespace {

[[noreturn]] void fail(const std::string& what) {
  throw MediaError(concat(
      what,
      ": this cavmae was built without media libraries (CAVMAE_MEDIA=OFF); give --cache with features "
      "that another build has decoded, or install FFmpeg's libraries (tools/install_dependencies.sh) and "
      "build with -DCAVMAE_MEDIA=ON"));
}

}  // namespace

bool has_media() {
  return false;
}

int decoder_version() {
  return 0;
}

MediaInfo probe_media(const MediaSource& source, const MediaChoice& /*choice*/) {
  fail(source.name());
}

std::vector<float> read_audio(const MediaSource& source, const AudioRequest& /*request*/,
                              bool* /*has_gaps*/) {
  fail(source.name());
}

std::string silence_of(std::span<const float> /*waveform*/, const MediaSource& /*source*/,
                       const AudioRequest& /*request*/) {
  return {};
}

std::vector<Picture> read_frames(const MediaSource& source, const std::vector<double>& /*times_seconds*/,
                                 const MediaChoice& /*choice*/, const MediaTimes* /*times*/) {
  fail(source.name());
}

Picture read_image(const MediaSource& source, const MediaChoice& /*choice*/) {
  fail(source.name());
}

std::vector<Picture> read_squares(const MediaSource& source, const std::vector<double>& /*times_seconds*/,
                                  int64_t /*size_px*/, const MediaChoice& /*choice*/,
                                  const MediaTimes* /*times*/) {
  fail(source.name());
}

Picture read_square(const MediaSource& source, int64_t /*size_px*/, const MediaChoice& /*choice*/) {
  fail(source.name());
}

struct AudioSequence::State {};
AudioSequence::AudioSequence(const MediaSource& source, const AudioRequest& /*request*/) {
  fail(source.name());
}
AudioSequence::~AudioSequence() = default;
std::vector<float> AudioSequence::read(double /*start_seconds*/, bool* /*has_gaps*/) {
  return {};
}

struct FrameSequence::State {};
FrameSequence::FrameSequence(const MediaSource& source, const MediaChoice& /*choice*/,
                             const MediaTimes* /*times*/) {
  fail(source.name());
}
FrameSequence::~FrameSequence() = default;
Picture FrameSequence::at(double /*seconds*/) {
  return {};
}

std::string encode_png(const Picture& /*picture*/) {
  fail("a PNG");
}

std::string encode_jpeg(const Picture& /*picture*/, int /*quality*/) {
  fail("a JPEG");
}

void write_png(const std::filesystem::path& path, const Picture& /*picture*/) {
  fail(path.string());
}

std::unique_ptr<VideoWriter> write_film_cut(const FilmCut& /*cut*/, const std::filesystem::path& path,
                                            VideoContainer /*container*/) {
  fail(path.string());
}

struct VideoWriter::State {};

VideoWriter::VideoWriter(const std::filesystem::path& path, const VideoWriterOptions& /*options*/) {
  fail(path.string());
}

VideoWriter::~VideoWriter() = default;

void VideoWriter::add_frame(const Picture& /*picture*/) {}

void VideoWriter::add_audio(std::span<const float> /*waveform*/) {}

void VideoWriter::finish() {}

}  // namespace cavmae
