#include "cavmae/decode/decode.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <memory>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cavmae/core/error.h"
#include "cavmae/core/time_limit.h"
#include "cavmae/data/clip_reader.h"
#include "cavmae/data/film_cut.h"
#include "cavmae/data/media_files.h"
#include "cavmae/decode/confinement.h"
#include "cavmae/features/fbank.h"
#include "cavmae/features/image_transform.h"
#include "cavmae/media/image_writer.h"
#include "cavmae/media/media_reader.h"
#include "cavmae/media/video_writer.h"

namespace cavmae {
namespace {

// A descriptor that somebody else opened, read by offset.
class DescriptorOrigin : public MediaOrigin {
 public:
  DescriptorOrigin(int descriptor, std::string name) : descriptor_(descriptor), name_(std::move(name)) {}

  const std::string& name() const override { return name_; }
  std::string identity() const override { return fmt::format("{} of descriptor {}", name_, descriptor_); }
  std::string stamp() const override { return "opened"; }
  std::unique_ptr<MediaBytes> open() const override { return std::make_unique<Bytes>(descriptor_, name_); }

 private:
  class Bytes : public MediaBytes {
   public:
    Bytes(int descriptor, std::string name) : descriptor_(descriptor), name_(std::move(name)) {
      struct stat status {};
      CAVMAE_CHECK_AS(MediaError, ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode), name_,
                      ": is no ordinary file");
      size_ = status.st_size;
    }
    int64_t size() const override { return size_; }
    size_t read_at(int64_t offset, void* out, size_t count) const override {
      const auto left = static_cast<size_t>(std::max<int64_t>(0, size_ - offset));
      count = std::min(count, left);
      size_t have = 0;
      while (have < count) {
        const ssize_t n = ::pread(descriptor_, static_cast<char*>(out) + have, count - have,
                                  static_cast<off_t>(offset) + static_cast<off_t>(have));
        if (n < 0 && errno == EINTR) continue;
        CAVMAE_CHECK_AS(MediaError, n >= 0, name_, ": cannot be read: ", std::strerror(errno));
        if (n == 0) break;
        have += static_cast<size_t>(n);
      }
      return have;
    }

   private:
    int descriptor_;
    std::string name_;
    int64_t size_ = 0;
  };

  int descriptor_;
  std::string name_;
};

// The files of a job, and what they hold.
struct OpenedFiles {
  MediaSource pictures, sound;  // the same where there is one file
  MediaInfo info;               // of the pictures' file
  bool has_audio = false, has_video = false;
};

OpenedFiles open_files(const DecodeJob& job, const std::vector<int>& descriptors) {
  CAVMAE_CHECK(descriptors.size() == (job.sound_name.empty() ? 1u : 2u), "a job came without its files");
  OpenedFiles out;
  out.pictures = MediaSource(std::make_shared<DescriptorOrigin>(descriptors[0], job.name));
  out.sound = job.sound_name.empty()
                  ? out.pictures
                  : MediaSource(std::make_shared<DescriptorOrigin>(descriptors[1], job.sound_name));
  out.info = probe_media(out.pictures, {.exif = true});
  const MediaInfo& info = out.info;
  CAVMAE_CHECK_AS(MediaError, job.max_pixels == 0 || info.width_px * info.height_px <= job.max_pixels,
                  job.name, ": has pictures of ", info.width_px, "x", info.height_px,
                  " pixels, more than the ", job.max_pixels, " that are allowed; make them smaller");
  CAVMAE_CHECK_AS(MediaError, job.max_media_seconds <= 0 || info.duration_seconds <= job.max_media_seconds,
                  job.name, ": is ", std::llround(info.duration_seconds), " s long, more than the ",
                  std::llround(job.max_media_seconds), " that are allowed; cut a part out of it");
  out.has_audio = job.audio && (info.has_audio || !job.sound_name.empty());
  out.has_video = job.video && info.has_video;
  return out;
}

DecodeAnswer decode_features(const DecodeJob& job, const OpenedFiles& files) {
  CAVMAE_CHECK_AS(MediaError, files.has_audio || files.has_video, job.name, ": has ",
                  job.audio && job.video ? "neither sound nor pictures"
                  : job.audio            ? "no sound to search by"
                                         : "no pictures to search by");
  const ClipReader reader(job.spec);
  ClipSource clip = clip_of_file(files.pictures);
  if (!files.has_audio) clip.audio = {};
  if (!files.has_video) clip.video = {};
  // A picture is the same at every time.
  const FrameChoice frames = files.info.is_picture ? FrameChoice::middle : FrameChoice::all;
  const Sample sample =
      reader.read(clip, {.window_start = job.start, .frames = frames}, Need::any, /*seed=*/0);
  return {.audio = sample.audio, .video = sample.video};
}

DecodeAnswer decode_picture(const DecodeJob& job, const OpenedFiles& files) {
  CAVMAE_CHECK_AS(MediaError, files.has_video, job.name, ": has no pictures");
  const torch::Tensor image =
      read_frames(files.pictures, {job.start.value_or(0.0)}, {}, &files.info.times)[0];
  return {.bytes = encode_jpeg(fit_width(image, job.width_px), 82), .content_type = "image/jpeg"};
}

DecodeAnswer decode_spectrogram(const DecodeJob& job, const OpenedFiles& files) {
  CAVMAE_CHECK_AS(MediaError, files.has_audio, job.name, ": has no sound");
  const torch::Tensor wave = read_audio(files.sound, {.start_seconds = job.start.value_or(0.0),
                                                      .duration_seconds = job.seconds,
                                                      .sample_rate_hz = job.spec.sample_rate_hz,
                                                      .channels = job.spec.audio_channels,
                                                      .audio_track = job.spec.audio_track});
  const Fbank fbank({.sample_rate_hz = job.spec.sample_rate_hz, .num_mel_bins = job.spec.num_mel_bins});
  const torch::Tensor rows = fbank.compute(wave);
  CAVMAE_CHECK_AS(MediaError, rows.size(0) > 0, job.name, ": has too little sound there");
  return {.audio = rows};
}

DecodeAnswer decode_cut(const DecodeJob& job, const OpenedFiles& files) {
  CAVMAE_CHECK_AS(MediaError, files.has_audio || files.has_video, job.name,
                  ": has neither sound nor pictures");
  const auto writer = write_film_cut({.pictures = files.has_video ? files.pictures : MediaSource(),
                                      .sound = files.has_audio ? files.sound : MediaSource(),
                                      .info = &files.info,
                                      .start_seconds = job.start.value_or(0.0),
                                      .seconds = job.seconds,
                                      .max_width_px = job.width_px,
                                      .max_frame_rate_hz = 30},
                                     job.name, files.has_video ? VideoContainer::webm : VideoContainer::ogg);
  return {.bytes = writer->finish_in_memory(), .content_type = files.has_video ? "video/webm" : "audio/ogg"};
}

DecodeAnswer decode_opened(const DecodeJob& job, const std::vector<int>& descriptors) {
  const OpenedFiles files = open_files(job, descriptors);
  switch (job.kind) {
    case DecodeKind::features:
      return decode_features(job, files);
    case DecodeKind::picture:
      return decode_picture(job, files);
    case DecodeKind::spectrogram:
      return decode_spectrogram(job, files);
    case DecodeKind::clip:
      return decode_cut(job, files);
    case DecodeKind::confinement:
      break;
  }
  throw Error("a job of no kind");
}

}  // namespace

DecodeAnswer decode(const DecodeJob& job, const std::vector<int>& descriptors) {
  const torch::NoGradGuard no_grad;
  DecodeAnswer answer;
  try {
    if (job.kind == DecodeKind::confinement) {
      answer.freedoms = remaining_freedoms();
      return answer;
    }
    const TimeLimit limit(job.time_limit_seconds);
    answer = decode_opened(job, descriptors);
    limit.check_kept();
  } catch (const std::bad_alloc&) {
    answer = {.error = job.name + ": takes more memory than decoding may have"};
  } catch (const std::exception& e) {
    const std::string what = e.what();
    answer = {.error = what.substr(0, what.find('\n'))};
  }
  return answer;
}

void warm_up_decoding() {
  const torch::NoGradGuard no_grad;
  InputSpec spec;
  spec.window_seconds = 1.0;
  const ClipReader reader(spec);
  VideoWriter film("warm.webm", {.width_px = 32,
                                 .height_px = 32,
                                 .frame_rate_hz = 2,
                                 .sample_rate_hz = 48000,
                                 .container = VideoContainer::webm});
  for (int i = 0; i < 2; ++i) film.add_frame(torch::full({32, 32, 3}, 100 + i, torch::kUInt8));
  film.add_audio(torch::rand({48000}) - 0.5);
  const MediaSource source = media_in_memory(film.finish_in_memory(), "warm.webm");
  reader.read(clip_of_file(source), {.frames = FrameChoice::all}, Need::any, /*seed=*/0);
  const torch::Tensor image = fit_width(torch::full({64, 64, 3}, 9, torch::kUInt8), 32, 2);
  read_image(media_in_memory(encode_jpeg(image), "warm.jpg"));
  read_image(media_in_memory(encode_png(image), "warm.png"));
}

}  // namespace cavmae
