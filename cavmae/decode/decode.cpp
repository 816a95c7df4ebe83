#include "cavmae/decode/decode.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cavmae/core/error.h"
#include "cavmae/core/time_limit.h"
#include "cavmae/decode/confinement.h"
#include "cavmae/media/film_cut.h"
#include "cavmae/media/image_writer.h"
#include "cavmae/media/media_reader.h"
#include "cavmae/media/video_writer.h"
#include "cavmae/picture/resize.h"

namespace cavmae {
namespace {

// A descriptor that somebody else opened, read by offset.
class DescriptorOrigin : public MediaOrigin {
 public:
  DescriptorOrigin(int descriptor, const FileRange& range, std::string name)
      : descriptor_(descriptor), range_(range), name_(std::move(name)) {}

  const std::string& name() const override { return name_; }
  std::string identity() const override {
    return fmt::format("{} of descriptor {} from {}", name_, descriptor_, range_.begin);
  }
  std::string stamp() const override { return "opened"; }
  std::unique_ptr<MediaBytes> open() const override {
    return std::make_unique<Bytes>(descriptor_, range_, name_);
  }

 private:
  class Bytes : public MediaBytes {
   public:
    Bytes(int descriptor, const FileRange& range, std::string name)
        : descriptor_(descriptor), begin_(range.begin), name_(std::move(name)) {
      struct stat status {};
      CAVMAE_CHECK_AS(MediaError, ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode), name_,
                      ": is no ordinary file");
      CAVMAE_CHECK_AS(MediaError, begin_ >= 0 && begin_ <= status.st_size, name_,
                      ": lies behind its file's end");
      size_ = range.size < 0 ? status.st_size - begin_ : std::min(range.size, status.st_size - begin_);
    }
    int64_t size() const override { return size_; }
    size_t read_at(int64_t offset, void* out, size_t count) const override {
      const auto left = static_cast<size_t>(std::max<int64_t>(0, size_ - offset));
      count = std::min(count, left);
      size_t have = 0;
      while (have < count) {
        const ssize_t n = ::pread(descriptor_, static_cast<char*>(out) + have, count - have,
                                  static_cast<off_t>(begin_ + offset) + static_cast<off_t>(have));
        if (n < 0 && errno == EINTR) continue;
        CAVMAE_CHECK_AS(MediaError, n >= 0, name_, ": cannot be read: ", std::strerror(errno));
        if (n == 0) break;
        have += static_cast<size_t>(n);
      }
      return have;
    }

   private:
    int descriptor_;
    int64_t begin_;
    std::string name_;
    int64_t size_ = 0;
  };

  int descriptor_;
  FileRange range_;
  std::string name_;
};

// The files of a job, and what they hold.
struct OpenedFiles {
  MediaSource pictures, sound;  // the same where there is one file
  MediaInfo info;               // of the pictures' file
};

// Which version of a file a descriptor has open, and how it was probed.
struct Probed {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = -1;
  FileRange range = {};
  timespec changed = {};
  std::optional<int64_t> audio_track = {};
  bool exif = false;

  Probed() = default;
  Probed(int descriptor, const FileRange& part, const MediaChoice& choice)
      : range(part), audio_track(choice.audio_track), exif(choice.exif) {
    struct stat status {};
    if (::fstat(descriptor, &status) != 0) return;
    device = status.st_dev;
    inode = status.st_ino;
    size = status.st_size;
    changed = status.st_mtim;
  }
  bool operator==(const Probed& other) const {
    return size >= 0 && device == other.device && inode == other.inode && size == other.size &&
           range == other.range && changed.tv_sec == other.changed.tv_sec &&
           changed.tv_nsec == other.changed.tv_nsec && audio_track == other.audio_track && exif == other.exif;
  }
};

void check_limits(const DecodeJob& job, const MediaInfo& info) {
  CAVMAE_CHECK_AS(MediaError, job.max_pixels == 0 || info.width_px * info.height_px <= job.max_pixels,
                  job.name, ": has pictures of ", info.width_px, "x", info.height_px,
                  " pixels, more than the ", job.max_pixels, " that are allowed; make them smaller");
  CAVMAE_CHECK_AS(MediaError, job.max_media_seconds <= 0 || info.duration_seconds <= job.max_media_seconds,
                  job.name, ": is ", std::llround(info.duration_seconds), " s long, more than the ",
                  std::llround(job.max_media_seconds), " that are allowed; cut a part out of it");
}

DecodeAnswer decode_audio(const DecodeJob& job, const OpenedFiles& files) {
  DecodeAnswer answer;
  answer.waveform = read_audio(files.sound,
                               {.start_seconds = job.start,
                                .duration_seconds = job.seconds,
                                .sample_rate_hz = job.sample_rate_hz,
                                .channels = job.channels,
                                .audio_track = job.audio_track,
                                .times = job.sound_name.empty() ? &files.info.times : nullptr},
                               &answer.has_gaps);
  return answer;
}

DecodeAnswer decode_squares(const DecodeJob& job, const OpenedFiles& files) {
  CAVMAE_CHECK_AS(MediaError, files.info.has_video, job.name, ": has no pictures");
  const MediaChoice choice{.audio_track = job.audio_track, .exif = job.exif};
  DecodeAnswer answer;
  answer.pictures = job.times.empty()
                        ? std::vector<Picture>{read_square(files.pictures, job.size_px, choice)}
                        : read_squares(files.pictures, job.times, job.size_px, choice, &files.info.times);
  return answer;
}

DecodeAnswer decode_picture(const DecodeJob& job, const OpenedFiles& files) {
  constexpr int kQuality = 82;
  CAVMAE_CHECK_AS(MediaError, files.info.has_video, job.name, ": has no pictures");
  const Picture picture = read_frames(files.pictures, {job.start}, {}, &files.info.times)[0];
  return {.bytes = encode_jpeg(fit_width(picture, job.size_px), kQuality), .content_type = "image/jpeg"};
}

DecodeAnswer decode_cut(const DecodeJob& job, const OpenedFiles& files) {
  const bool has_audio = job.audio && (files.info.has_audio || !job.sound_name.empty()),
             has_video = job.video && files.info.has_video;
  CAVMAE_CHECK_AS(MediaError, has_audio || has_video, job.name, ": has neither sound nor pictures");
  const auto writer = write_film_cut({.pictures = has_video ? files.pictures : MediaSource(),
                                      .sound = has_audio ? files.sound : MediaSource(),
                                      .info = &files.info,
                                      .start_seconds = job.start,
                                      .seconds = job.seconds,
                                      .max_width_px = job.size_px,
                                      .max_frame_rate_hz = 30},
                                     job.name, has_video ? VideoContainer::webm : VideoContainer::ogg);
  return {.bytes = writer->finish_in_memory(), .content_type = has_video ? "video/webm" : "audio/ogg"};
}

DecodeAnswer decode_opened(const DecodeJob& job, const OpenedFiles& files) {
  switch (job.kind) {
    case DecodeKind::probe:
      return {.info = files.info};
    case DecodeKind::audio:
      return decode_audio(job, files);
    case DecodeKind::squares:
      return decode_squares(job, files);
    case DecodeKind::picture:
      return decode_picture(job, files);
    case DecodeKind::clip:
      return decode_cut(job, files);
    case DecodeKind::confinement:
      break;
  }
  throw Error("a job of no kind");
}

// What decoders and encoders load or open when they are first used.
void warm_up() {
  VideoWriter film("warm.webm", {.width_px = 32,
                                 .height_px = 32,
                                 .frame_rate_hz = 2,
                                 .sample_rate_hz = 48000,
                                 .container = VideoContainer::webm});
  Picture grey(32, 32);
  std::memset(grey.pixels(), 100, static_cast<size_t>(grey.num_bytes()));
  for (int i = 0; i < 2; ++i) film.add_frame(grey);
  std::vector<float> hum(48000);
  for (size_t i = 0; i < hum.size(); ++i) hum[i] = 0.5f * std::sin(static_cast<float>(i) / 20.0f);
  film.add_audio(hum);
  const MediaSource source = media_in_memory(film.finish_in_memory(), "warm.webm");
  probe_media(source);
  read_audio(source, {.duration_seconds = 1.0});
  read_squares(source, {0.0, 0.5}, 16);
  read_image(media_in_memory(encode_jpeg(fit_width(grey, 16, 2)), "warm.jpg"));
  read_image(media_in_memory(encode_png(grey), "warm.png"));
}

}  // namespace

struct FileDecoder::State {
  Probed probed;
  MediaInfo info;  // of it

  OpenedFiles open(const DecodeJob& job, const std::vector<int>& descriptors) {
    CAVMAE_CHECK(descriptors.size() == (job.sound_name.empty() ? 1u : 2u), "a job came without its files");
    OpenedFiles out;
    out.pictures = MediaSource(std::make_shared<DescriptorOrigin>(descriptors[0], job.range, job.name));
    out.sound = job.sound_name.empty() ? out.pictures
                                       : MediaSource(std::make_shared<DescriptorOrigin>(
                                             descriptors[1], job.sound_range, job.sound_name));
    const MediaChoice choice{.audio_track = job.audio_track, .exif = job.exif};
    const Probed wanted(descriptors[0], job.range, choice);
    if (!(wanted == probed)) {
      probed = Probed();
      info = probe_media(out.pictures, choice);
      probed = wanted;
    }
    out.info = info;
    check_limits(job, info);
    return out;
  }
};

FileDecoder::FileDecoder() : state_(std::make_unique<State>()) {
  warm_up();
}

FileDecoder::~FileDecoder() = default;

DecodeAnswer FileDecoder::decode(const DecodeJob& job, const std::vector<int>& descriptors) {
  DecodeAnswer answer;
  try {
    if (job.kind == DecodeKind::confinement) {
      answer.freedoms = remaining_freedoms();
      return answer;
    }
    const TimeLimit limit(job.time_limit_seconds);
    answer = decode_opened(job, state_->open(job, descriptors));
    limit.check_kept();
  } catch (const std::bad_alloc&) {
    answer = {.error = job.name + ": takes more memory than decoding may have"};
  } catch (const std::exception& e) {
    const std::string what = e.what();
    answer = {.error = what.substr(0, what.find('\n'))};
  }
  return answer;
}

}  // namespace cavmae
