#include "cavmae/data/cached_decoder.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

int64_t microseconds(double seconds) {
  return std::llround(seconds * 1e6);
}

// Part of an entry's name where the rate is not the one that entries without it have.
std::string rate_in_name(const InputSpec& spec) {
  constexpr int64_t kUnnamedRateHz = 16000;
  return spec.sample_rate_hz == kUnnamedRateHz ? "" : concat(" ", spec.sample_rate_hz, " Hz");
}

// Likewise of the sound track and of EXIF.
std::string track_in_name(const InputSpec& spec) {
  return spec.audio_track ? concat(" track ", *spec.audio_track) : "";
}
std::string exif_in_name(const InputSpec& spec) {
  return spec.exif ? " exif" : "";
}

}  // namespace

CachedDecoder::CachedDecoder(const InputSpec& spec, const fs::path& cache_dir, std::shared_ptr<Log> log)
    : spec_(spec),
      warnings_(std::make_shared<OnceLog>(log)),
      decoder_(spec, warnings_),
      measured_(std::make_unique<MeasuredFacts>()) {
  if (!cache_dir.empty()) cache_ = std::make_unique<FeatureCache>(cache_dir, std::move(log));
}

int64_t CachedDecoder::num_pictures(const ClipSource& clip, const FileFacts& video) const {
  return decoder_.num_pictures(clip, video);
}

FileFacts CachedDecoder::facts(const MediaSource& source) const {
  const CacheKey key{.name = "facts" + track_in_name(spec_) + "\n" + source.identity(),
                     .stamp = source_stamp({source})};
  if (!cache_) {
    if (auto kept = measured_->find(key)) return std::move(*kept);
    FileFacts found = decoder_.facts(source);
    if (found.times.measured) measured_->keep(key, found);
    return found;
  }
  if (const auto entry = cache_->open(key))
    if (const auto record = entry->read(0))
      if (auto kept = facts_from_record(*record)) return std::move(*kept);
  FileFacts found = decoder_.facts(source);
  cache_->store(key, facts_to_record(found));
  return found;
}

CacheKey CachedDecoder::silence_key(const MediaSource& source, const ClipWindow& window) const {
  return {.name = concat("silence\n", source.identity(), "\n", microseconds(window.start_seconds), " ",
                         microseconds(spec_.window_seconds), " ", enum_name(spec_.audio_channels),
                         rate_in_name(spec_), track_in_name(spec_)),
          .stamp = source_stamp({source})};
}

// Warns where it is silent for want of another option or by damage, and lets the cache remember it.
torch::Tensor CachedDecoder::decode_sound(const MediaSource& source, const ClipWindow& window,
                                          const MediaTimes* times, OpenedClip* opened) const {
  bool has_gaps = false;
  torch::Tensor waveform = decoder_.waveform(source, window, times, opened, &has_gaps);
  const std::string silence =
      has_gaps
          ? "some of its sound is damaged and silent where it could not be decoded; copy or record it again"
          : decoder_.silence(waveform, source, window, times);
  if (silence.empty()) return waveform;
  warnings_->warn(source.name(), silence);
  const torch::Tensor text = torch::empty({1, static_cast<int64_t>(silence.size())}, torch::kUInt8);
  std::copy(silence.begin(), silence.end(), text.data_ptr<uint8_t>());
  if (cache_) cache_->store(silence_key(source, window), text);
  return waveform;
}

// Of sound that came out of the cache.
void CachedDecoder::repeat_warning(const MediaSource& source, const ClipWindow& window) const {
  const auto entry = cache_->open(silence_key(source, window));
  if (!entry || entry->dtype() != torch::kUInt8 || entry->record_shape().size() != 1) return;
  if (const auto text = entry->read(0))
    warnings_->warn(source.name(), std::string(static_cast<const char*>(text->data_ptr()),
                                               static_cast<size_t>(text->numel())));
}

torch::Tensor CachedDecoder::fbank(const MediaSource& source, const ClipWindow& window,
                                   const MediaTimes* times, OpenedClip* opened) const {
  if (!cache_) return decoder_.fbank(decode_sound(source, window, times, opened));
  const CacheKey key{
      .name = concat("fbank\n", source.identity(), "\n", microseconds(window.start_seconds), " ",
                     microseconds(spec_.window_seconds), " ", spec_.num_mel_bins, " ",
                     enum_name(spec_.audio_channels), rate_in_name(spec_), track_in_name(spec_)),
      .stamp = source_stamp({source})};
  if (const auto entry = cache_->open(key); entry && entry->dtype() == torch::kFloat32) {
    const auto& shape = entry->record_shape();
    if (shape.size() == 2 && shape[1] == spec_.num_mel_bins)
      if (auto kept = entry->read(0)) {
        repeat_warning(source, window);
        return std::move(*kept);
      }
  }
  torch::Tensor fbank = decoder_.fbank(decode_sound(source, window, times, opened));
  cache_->store(key, fbank.unsqueeze(0));
  return fbank;
}

torch::Tensor CachedDecoder::waveform(const MediaSource& source, const ClipWindow& window,
                                      const MediaTimes* times) const {
  if (!cache_) return decode_sound(source, window, times);
  const CacheKey key{
      .name = concat("waveform\n", source.identity(), "\n", microseconds(window.start_seconds), " ",
                     microseconds(spec_.window_seconds), " ", enum_name(spec_.audio_channels),
                     rate_in_name(spec_), track_in_name(spec_)),
      .stamp = source_stamp({source})};
  if (const auto entry = cache_->open(key);
      entry && entry->dtype() == torch::kFloat32 && entry->record_shape().size() == 1)
    if (auto kept = entry->read(0)) {
      repeat_warning(source, window);
      return *kept;
    }
  torch::Tensor waveform = decode_sound(source, window, times);
  cache_->store(key, waveform.unsqueeze(0));
  return waveform;
}

torch::Tensor CachedDecoder::fbank(const torch::Tensor& waveform) const {
  return decoder_.fbank(waveform);
}

std::vector<torch::Tensor> CachedDecoder::cached_pictures(const CacheKey& key, int64_t num_pictures,
                                                          const std::vector<int64_t>& positions) const {
  const auto entry = cache_->open(key);
  const std::vector<int64_t> shape = {spec_.image_size, spec_.image_size, 3};
  if (!entry || entry->dtype() != torch::kUInt8 || entry->record_shape() != shape ||
      entry->num_records() != num_pictures)
    return {};
  std::vector<torch::Tensor> found;
  for (const int64_t position : positions) {
    auto picture = entry->read(position);
    if (!picture) return {};
    found.push_back(std::move(*picture));
  }
  return found;
}

std::vector<torch::Tensor> CachedDecoder::pictures(const ClipSource& clip, const FileFacts& video,
                                                   const ClipWindow& window,
                                                   const std::vector<int64_t>& positions,
                                                   OpenedClip* opened) const {
  if (!cache_) return decoder_.pictures(clip, video, window, positions, opened);
  const std::vector<MediaSource> sources = clip.frames.empty() ? std::vector{clip.video} : clip.frames;
  const ClipWindow place = video.is_picture ? ClipWindow{} : window;  // a picture is the same at any time
  CacheKey key{
      .name = concat("pictures ", microseconds(place.start_seconds), " ", microseconds(place.length_seconds),
                     " ", spec_.num_frames, " ", spec_.image_size, exif_in_name(spec_)),
      .stamp = source_stamp(sources)};
  for (const MediaSource& source : sources) key.name += "\n" + source.identity();
  const int64_t num = num_pictures(clip, video);
  if (auto found = cached_pictures(key, num, positions); !found.empty()) return found;
  std::vector<int64_t> all(num);
  std::iota(all.begin(), all.end(), 0);
  const auto decoded = decoder_.pictures(clip, video, window, all, opened);
  cache_->store(key, at::stack(decoded));
  std::vector<torch::Tensor> chosen;
  for (const int64_t position : positions) chosen.push_back(decoded[position]);
  return chosen;
}

}  // namespace cavmae
