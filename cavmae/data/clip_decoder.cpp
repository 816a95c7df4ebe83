#include "cavmae/data/clip_decoder.h"

#include <algorithm>
#include <map>

#include "cavmae/core/error.h"
#include "cavmae/data/media_files.h"
#include "cavmae/features/image_transform.h"

namespace cavmae {
namespace {

// The pictures of a list, each decoded once.
class ListedPictures {
 public:
  ListedPictures(const std::vector<MediaSource>& frames, const MediaChoice& choice, OnceLog* warnings)
      : frames_(frames), choice_(choice), warnings_(warnings) {}

  // The one at `index`; one that does not exist or is damaged gives way to the nearest before it, or else
  // after it.
  torch::Tensor picture(int64_t index) {
    const auto first = static_cast<size_t>(index);
    for (size_t i = first + 1; i-- > 0;)
      if (const torch::Tensor found = read(i); found.defined()) return found;
    for (size_t i = first + 1; i < frames_.size(); ++i)
      if (const torch::Tensor found = read(i); found.defined()) return found;
    throw MediaError(damage_.empty()
                         ? concat(frames_[first], ": does not exist, nor does any other picture of its clip")
                         : concat(damage_, "; nor can any other picture of its clip be read"));
  }

 private:
  // Undefined when it cannot be read.
  torch::Tensor read(size_t i) {
    const auto known = read_.find(i);
    if (known != read_.end()) return known->second;
    torch::Tensor& picture = read_[i];
    if (!frames_[i].exists()) return picture;
    try {
      picture = read_image(frames_[i], choice_);
    } catch (const MediaError& error) {
      damage_ = error.what();
      if (warnings_ != nullptr)
        warnings_->warn(frames_[i].name(), concat("another picture of its clip stands for it: ", damage_));
    }
    return picture;
  }

  const std::vector<MediaSource>& frames_;
  MediaChoice choice_;
  OnceLog* warnings_;
  std::map<size_t, torch::Tensor> read_;
  std::string damage_;  // of the last one that could not be read
};

}  // namespace

ClipDecoder::ClipDecoder(const InputSpec& spec, std::shared_ptr<OnceLog> warnings)
    : spec_(spec),
      fbank_(FbankOptions{.sample_rate_hz = spec.sample_rate_hz, .num_mel_bins = spec.num_mel_bins}),
      warnings_(std::move(warnings)) {}

MediaChoice ClipDecoder::media_choice() const {
  return {.audio_track = spec_.audio_track, .exif = spec_.exif};
}

FileFacts ClipDecoder::facts(const MediaSource& source) const {
  if (media_kind(source.name()) == MediaKind::picture)
    return {.has_audio = false, .has_video = true, .is_picture = true};
  const MediaInfo info = probe_media(source, media_choice());
  return {.has_audio = info.has_audio,
          .has_video = info.has_video,
          .is_picture = info.is_picture,
          .times = info.times};
}

AudioRequest ClipDecoder::audio_request(const ClipWindow& window, const MediaTimes* times) const {
  return {.start_seconds = window.start_seconds,
          .duration_seconds = spec_.window_seconds,
          .sample_rate_hz = spec_.sample_rate_hz,
          .channels = spec_.audio_channels,
          .audio_track = spec_.audio_track,
          .times = times};
}

torch::Tensor ClipDecoder::waveform(const MediaSource& source, const ClipWindow& window,
                                    const MediaTimes* times) const {
  torch::Tensor waveform = read_audio(source, audio_request(window, times));
  const int64_t one_frame = spec_.sample_rate_hz / 40;  // 25 ms
  CAVMAE_CHECK_AS(MediaError, waveform.size(0) >= one_frame, source, ": the audio is too short: ",
                  1000.0 * static_cast<double>(waveform.size(0)) / static_cast<double>(spec_.sample_rate_hz),
                  " ms, at least 25 ms are needed; leave this clip out or give it longer audio");
  return waveform;
}

std::string ClipDecoder::silence(const torch::Tensor& waveform, const MediaSource& source,
                                 const ClipWindow& window, const MediaTimes* times) const {
  return silence_of(waveform, source, audio_request(window, times));
}

torch::Tensor ClipDecoder::fbank(const torch::Tensor& waveform) const {
  return fbank_.compute(waveform);
}

int64_t ClipDecoder::num_pictures(const ClipSource& clip, const FileFacts& video) const {
  const auto num_listed = static_cast<int64_t>(clip.frames.size());
  if (num_listed > 0) return std::min(num_listed, spec_.num_frames);
  return video.is_picture ? 1 : spec_.num_frames;
}

std::vector<torch::Tensor> ClipDecoder::listed_pictures(const ClipSource& clip,
                                                        const std::vector<int64_t>& positions) const {
  const auto num_listed = static_cast<int64_t>(clip.frames.size());
  const int64_t num = num_pictures(clip, {});
  ListedPictures list(clip.frames, media_choice(), warnings_.get());
  std::vector<torch::Tensor> images;
  for (const int64_t position : positions) images.push_back(list.picture(position * num_listed / num));
  return images;
}

std::vector<torch::Tensor> ClipDecoder::pictures(const ClipSource& clip, const FileFacts& video,
                                                 const ClipWindow& window,
                                                 const std::vector<int64_t>& positions) const {
  std::vector<torch::Tensor> images;
  if (!clip.frames.empty()) {
    images = listed_pictures(clip, positions);
  } else if (video.is_picture) {
    images.assign(positions.size(), read_image(clip.video, media_choice()));
  } else {
    std::vector<double> times;
    for (const int64_t i : positions)
      times.push_back(window.start_seconds +
                      window.length_seconds * static_cast<double>(i) / static_cast<double>(spec_.num_frames));
    images = read_frames(clip.video, times, media_choice(), &video.times);
  }
  std::vector<torch::Tensor> squares;
  for (size_t i = 0; i < images.size(); ++i) {
    const bool repeated = i > 0 && images[i].data_ptr() == images[i - 1].data_ptr();
    squares.push_back(repeated ? squares.back() : resize_and_crop(images[i], spec_.image_size));
  }
  return squares;
}

}  // namespace cavmae
