#include "cavmae/serve/decoded_file.h"

#include <algorithm>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/media/media_decoding.h"

namespace cavmae {
namespace {

class DecodedFile : public MediaOrigin, public MediaDecoding {
 public:
  DecodedFile(DecodePool& decoders, std::shared_ptr<const OpenFile> file, std::string name,
              const DecodeLimits& limits, Urgency urgency)
      : decoders_(decoders),
        file_(std::move(file)),
        name_(std::move(name)),
        limits_(limits),
        urgency_(urgency) {}

  const std::string& name() const override { return name_; }
  std::string identity() const override { return concat(name_, " of descriptor ", file_->descriptor()); }
  std::string stamp() const override { return "opened"; }
  std::unique_ptr<MediaBytes> open() const override {
    throw Error(concat(name_, ": is read by the decoders alone"));
  }
  const MediaDecoding* decoding() const override { return this; }

  MediaInfo probe(const MediaChoice& choice) const override {
    return run(job(DecodeKind::probe, choice)).info;
  }

  std::vector<float> audio(const AudioRequest& request, bool* has_gaps) const override {
    DecodeJob wanted = job(DecodeKind::audio, {.audio_track = request.audio_track});
    wanted.start = request.start_seconds;
    wanted.seconds = request.duration_seconds;
    wanted.sample_rate_hz = request.sample_rate_hz;
    wanted.channels = request.channels;
    DecodeAnswer answer = run(wanted);
    if (has_gaps != nullptr) *has_gaps = answer.has_gaps;
    return std::move(answer.waveform);
  }

  std::vector<Picture> squares(const std::vector<double>& times_seconds, int64_t size_px,
                               const MediaChoice& choice) const override {
    DecodeJob wanted = job(DecodeKind::squares, choice);
    wanted.times = times_seconds;
    wanted.size_px = size_px;
    std::vector<Picture> pictures = run(wanted).pictures;
    CAVMAE_CHECK(pictures.size() == std::max<size_t>(1, times_seconds.size()),
                 "the decoder's answer is damaged");
    for (const Picture& picture : pictures)
      CAVMAE_CHECK(picture.height_px() == size_px && picture.width_px() == size_px,
                   "the decoder's answer is damaged");
    return pictures;
  }

  Picture square(int64_t size_px, const MediaChoice& choice) const override {
    return squares({}, size_px, choice).front();
  }

 private:
  DecodeJob job(DecodeKind kind, const MediaChoice& choice) const {
    DecodeJob out{.kind = kind, .name = name_};
    out.audio_track = choice.audio_track;
    out.exif = choice.exif;
    out.max_media_seconds = limits_.max_media_seconds;
    out.max_pixels = limits_.max_pixels;
    out.time_limit_seconds = limits_.time_limit_seconds;
    return out;
  }
  DecodeAnswer run(const DecodeJob& wanted) const {
    return decoders_.decode(wanted, {file_->descriptor()}, urgency_);
  }

  DecodePool& decoders_;
  std::shared_ptr<const OpenFile> file_;
  std::string name_;
  DecodeLimits limits_;
  Urgency urgency_;
};

}  // namespace

MediaSource decoded_file(DecodePool& decoders, std::shared_ptr<const OpenFile> file, const std::string& name,
                         const DecodeLimits& limits, Urgency urgency) {
  return MediaSource(std::make_shared<DecodedFile>(decoders, std::move(file), name, limits, urgency));
}

}  // namespace cavmae
