#include "cavmae/data/clip_decoder.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "cavmae/core/error.h"
#include "cavmae/data/media_files.h"
#include "cavmae/data/opened_clip.h"
#include "cavmae/features/image_transform.h"
#include "cavmae/media/media_reader.h"

namespace cavmae {
namespace {

// The picture at `index` of the list, or the nearest before it that exists, or the nearest after it.
const MediaSource& existing_frame(const std::vector<MediaSource>& frames, int64_t index) {
  for (int64_t i = index; i >= 0; --i)
    if (frames[i].exists()) return frames[i];
  for (auto i = static_cast<size_t>(index) + 1; i < frames.size(); ++i)
    if (frames[i].exists()) return frames[i];
  throw MediaError(concat(frames[index], ": does not exist, nor does any other picture of its clip"));
}

// Squares of the side `size`; pictures that share their memory share that of their squares.
std::vector<torch::Tensor> squares_of(const std::vector<torch::Tensor>& images, int64_t size) {
  std::vector<torch::Tensor> squares;
  for (size_t i = 0; i < images.size(); ++i) {
    const bool repeated = i > 0 && images[i].data_ptr() == images[i - 1].data_ptr();
    squares.push_back(repeated ? squares.back() : resize_and_crop(images[i], size));
  }
  return squares;
}

// Whether the source begins as a file of videos does, whatever it is called.
bool begins_as_video(const MediaSource& source) {
  std::array<char, 12> bytes{};
  try {
    source.open()->read_at(0, bytes.data(), bytes.size());
  } catch (const MediaError&) {
    return false;  // told when it is read
  }
  const std::string_view begin(bytes.data(), bytes.size());
  const bool is_still = begin.substr(8) == "avif" || begin.substr(8) == "heic" || begin.substr(8) == "mif1";
  return (begin.substr(4, 4) == "ftyp" && !is_still) || begin.starts_with("\x1a\x45\xdf\xa3") ||
         begin.starts_with("OggS") || (begin.starts_with("RIFF") && begin.substr(8) == "AVI ");
}

}  // namespace

ClipDecoder::ClipDecoder(const InputSpec& spec)
    : spec_(spec),
      fbank_(FbankOptions{.sample_rate_hz = spec.sample_rate_hz, .num_mel_bins = spec.num_mel_bins}) {}

FileFacts ClipDecoder::facts(const MediaSource& source) const {
  if (media_kind(source.name()) == MediaKind::picture && !begins_as_video(source))
    return {.has_audio = false, .has_video = true, .is_picture = true};
  const MediaInfo info = probe_media(source);
  // What cannot be decoded is there all the same: reading it tells why not.
  return {.has_audio = info.has_audio || info.has_undecodable_audio,
          .has_video = info.has_video || info.has_undecodable_video,
          .is_picture = info.is_picture,
          .times = info.times};
}

torch::Tensor ClipDecoder::waveform(const MediaSource& source, const ClipWindow& window,
                                    const MediaTimes* times, OpenedClip* opened) const {
  const AudioRequest request{.start_seconds = window.start_seconds,
                             .duration_seconds = spec_.window_seconds,
                             .sample_rate_hz = spec_.sample_rate_hz,
                             .channels = spec_.audio_channels,
                             .times = times};
  torch::Tensor waveform = opened != nullptr ? opened->audio(source, request) : read_audio(source, request);
  const int64_t one_frame = spec_.sample_rate_hz / 40;  // 25 ms
  CAVMAE_CHECK_AS(MediaError, waveform.size(0) >= one_frame, source, ": the audio is too short: ",
                  1000.0 * static_cast<double>(waveform.size(0)) / static_cast<double>(spec_.sample_rate_hz),
                  " ms, at least 25 ms are needed; leave this clip out or give it longer audio");
  CAVMAE_CHECK_AS(
      MediaError, waveform.isfinite().all().item<bool>(), source,
      ": the audio holds samples that are not finite (NaN or infinity); write it anew, or as integers");
  return waveform;
}

torch::Tensor ClipDecoder::fbank(const torch::Tensor& waveform) const {
  return fbank_.compute(waveform);
}

torch::Tensor ClipDecoder::fbank(const MediaSource& source, const ClipWindow& window, const MediaTimes* times,
                                 OpenedClip* opened) const {
  return fbank(waveform(source, window, times, opened));
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
  std::vector<torch::Tensor> images;
  const MediaSource* last = nullptr;
  for (const int64_t position : positions) {
    const MediaSource& source = existing_frame(clip.frames, position * num_listed / num);
    images.push_back(&source == last ? images.back() : read_image(source));
    last = &source;
  }
  return images;
}

std::vector<torch::Tensor> ClipDecoder::still_pictures(const ClipSource& clip, const FileFacts& video,
                                                       const std::vector<int64_t>& positions) const {
  CAVMAE_CHECK(!clip.frames.empty() || video.is_picture, "still_pictures: of a moving picture");
  const auto images = clip.frames.empty()
                          ? std::vector<torch::Tensor>(positions.size(), read_image(clip.video))
                          : listed_pictures(clip, positions);
  return squares_of(images, spec_.image_size);
}

std::vector<torch::Tensor> ClipDecoder::pictures(const ClipSource& clip, const FileFacts& video,
                                                 const ClipWindow& window,
                                                 const std::vector<int64_t>& positions,
                                                 OpenedClip* opened) const {
  const bool still = !clip.frames.empty() || video.is_picture;
  if (still && opened == nullptr) return still_pictures(clip, video, positions);
  if (still) return opened->stills(positions, [&] { return still_pictures(clip, video, positions); });
  if (opened != nullptr) return opened->squares(clip.video, &video.times, window, positions, spec_);
  const std::vector<double> times = picture_times(window, positions, spec_.num_frames);
  return squares_of(read_frames(clip.video, times, &video.times), spec_.image_size);
}

}  // namespace cavmae
