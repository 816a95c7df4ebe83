#include "cavmae/data/clip_decoder.h"

#include <algorithm>
#include <array>
#include <map>
#include <string_view>

#include "cavmae/core/error.h"
#include "cavmae/data/media_files.h"
#include "cavmae/data/opened_clip.h"
#include "cavmae/features/media_tensors.h"
#include "cavmae/picture/resize.h"

namespace cavmae {
namespace {

// The pictures of a list, each decoded once.
class ListedPictures {
 public:
  ListedPictures(const std::vector<MediaSource>& frames, const MediaChoice& choice, OnceLog* warnings)
      : frames_(frames), choice_(choice), warnings_(warnings) {}

  // The one at `index`; one that does not exist or is damaged gives way to the nearest before it, or else
  // after it.
  Picture picture(int64_t index) {
    const auto first = static_cast<size_t>(index);
    for (size_t i = first + 1; i-- > 0;)
      if (const Picture found = read(i); found.is_there()) return found;
    for (size_t i = first + 1; i < frames_.size(); ++i)
      if (const Picture found = read(i); found.is_there()) return found;
    throw MediaError(damage_.empty()
                         ? concat(frames_[first], ": does not exist, nor does any other picture of its clip")
                         : concat(damage_, "; nor can any other picture of its clip be read"));
  }

 private:
  // None when it cannot be read.
  Picture read(size_t i) {
    const auto known = read_.find(i);
    if (known != read_.end()) return known->second;
    Picture& picture = read_[i];
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
  std::map<size_t, Picture> read_;
  std::string damage_;  // of the last one that could not be read
};

// Whether the source begins as a file of videos does, whatever it is called.
bool begins_as_video(const MediaSource& source) {
  std::array<char, 12> bytes{};
  try {
    source.open()->read_at(0, bytes.data(), bytes.size());
  } catch (const MediaError&) {
    return false;  // reading it as a picture fails too, and names the error
  }
  const std::string_view begin(bytes.data(), bytes.size());
  const bool is_still = begin.substr(8) == "avif" || begin.substr(8) == "heic" || begin.substr(8) == "mif1";
  return (begin.substr(4, 4) == "ftyp" && !is_still) || begin.starts_with("\x1a\x45\xdf\xa3") ||
         begin.starts_with("OggS") || (begin.starts_with("RIFF") && begin.substr(8) == "AVI ");
}

}  // namespace

ClipDecoder::ClipDecoder(const InputSpec& spec, std::shared_ptr<OnceLog> warnings)
    : spec_(spec),
      fbank_(FbankOptions{.sample_rate_hz = spec.sample_rate_hz, .num_mel_bins = spec.num_mel_bins}),
      warnings_(std::move(warnings)) {}

MediaChoice ClipDecoder::media_choice() const {
  return {.audio_track = spec_.audio_track, .exif = spec_.exif};
}

FileFacts ClipDecoder::facts(const MediaSource& source) const {
  if (source.decoding() == nullptr && media_kind(source.name()) == MediaKind::picture &&
      !begins_as_video(source))
    return {.has_audio = false, .has_video = true, .is_picture = true};
  // What cannot be decoded is there all the same: reading it tells why not.
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
                                    const MediaTimes* times, OpenedClip* opened, bool* has_gaps) const {
  const AudioRequest request = audio_request(window, times);
  const torch::Tensor waveform = to_tensor(opened != nullptr ? opened->audio(source, request, has_gaps)
                                                             : read_audio(source, request, has_gaps));
  const int64_t one_frame = spec_.sample_rate_hz / 40;  // 25 ms
  CAVMAE_CHECK_AS(MediaError, waveform.size(0) >= one_frame, source, ": the audio is too short: ",
                  1000.0 * static_cast<double>(waveform.size(0)) / static_cast<double>(spec_.sample_rate_hz),
                  " ms, at least 25 ms are needed; leave this clip out or give it longer audio");
  CAVMAE_CHECK_AS(
      MediaError, waveform.isfinite().all().item<bool>(), source,
      ": the audio holds samples that are not finite (NaN or infinity); write it anew, or as integers");
  return waveform;
}

std::string ClipDecoder::silence(const torch::Tensor& waveform, const MediaSource& source,
                                 const ClipWindow& window, const MediaTimes* times) const {
  return silence_of({waveform.data_ptr<float>(), static_cast<size_t>(waveform.numel())}, source,
                    audio_request(window, times));
}

torch::Tensor ClipDecoder::fbank(const torch::Tensor& waveform) const {
  return fbank_.compute(waveform);
}

int64_t ClipDecoder::num_pictures(const ClipSource& clip, const FileFacts& video) const {
  const auto num_listed = static_cast<int64_t>(clip.frames.size());
  if (num_listed > 0) return std::min(num_listed, spec_.num_frames);
  return video.is_picture ? 1 : spec_.num_frames;
}

std::vector<Picture> ClipDecoder::listed_pictures(const ClipSource& clip,
                                                  const std::vector<int64_t>& positions) const {
  const auto num_listed = static_cast<int64_t>(clip.frames.size());
  const int64_t num = num_pictures(clip, {});
  ListedPictures list(clip.frames, media_choice(), warnings_.get());
  std::vector<Picture> pictures;
  for (const int64_t position : positions) pictures.push_back(list.picture(position * num_listed / num));
  return pictures;
}

std::vector<Picture> ClipDecoder::still_pictures(const ClipSource& clip, const FileFacts& video,
                                                 const std::vector<int64_t>& positions) const {
  CAVMAE_CHECK(!clip.frames.empty() || video.is_picture, "still_pictures: of a moving picture");
  if (!clip.frames.empty()) return squares_of(listed_pictures(clip, positions), spec_.image_size);
  return std::vector<Picture>(positions.size(), read_square(clip.video, spec_.image_size, media_choice()));
}

std::vector<Picture> ClipDecoder::squares(const ClipSource& clip, const FileFacts& video,
                                          const ClipWindow& window, const std::vector<int64_t>& positions,
                                          OpenedClip* opened) const {
  const bool still = !clip.frames.empty() || video.is_picture;
  if (still && opened == nullptr) return still_pictures(clip, video, positions);
  if (still) return opened->stills(positions, [&] { return still_pictures(clip, video, positions); });
  if (opened != nullptr)
    return opened->squares(clip.video, media_choice(), &video.times, window, positions, spec_);
  const std::vector<double> times = picture_times(window, positions, spec_.num_frames);
  return read_squares(clip.video, times, spec_.image_size, media_choice(), &video.times);
}

std::vector<torch::Tensor> ClipDecoder::pictures(const ClipSource& clip, const FileFacts& video,
                                                 const ClipWindow& window,
                                                 const std::vector<int64_t>& positions,
                                                 OpenedClip* opened) const {
  return to_tensors(squares(clip, video, window, positions, opened));
}

}  // namespace cavmae
