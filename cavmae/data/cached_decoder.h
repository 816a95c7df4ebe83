// A clip's decoder behind the cache: what was decoded before is read from the disk, what was not is decoded
// and kept. Works without a cache too. Immutable; safe from several threads at once.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/core/torch.h"
#include "cavmae/data/clip_decoder.h"
#include "cavmae/data/feature_cache.h"
#include "cavmae/data/measured_facts.h"

namespace cavmae {

class CachedDecoder {
 public:
  // `cache_dir` may be empty: no cache. `log`, which may be null, hears of sound that is silent for want of
  // another option or by damage, of pictures that give way to others, and of a disk that cannot take more.
  CachedDecoder(const InputSpec& spec, const std::filesystem::path& cache_dir, std::shared_ptr<Log> log);

  bool has_cache() const { return cache_ != nullptr; }

  // As ClipDecoder::facts(). Without a cache, what took reading a whole source is remembered.
  FileFacts facts(const MediaSource& source) const;

  // As ClipDecoder::fbank(): a new tensor.
  torch::Tensor fbank(const MediaSource& source, const ClipWindow& window, const MediaTimes* times,
                      OpenedClip* opened = nullptr) const;

  // As ClipDecoder's: what mixup mixes. With a cache the sound is kept beside the filterbank.
  torch::Tensor waveform(const MediaSource& source, const ClipWindow& window, const MediaTimes* times) const;
  torch::Tensor fbank(const torch::Tensor& waveform) const;

  // As ClipDecoder; with a cache, all pictures of the window are decoded the first time.
  int64_t num_pictures(const ClipSource& clip, const FileFacts& video) const;
  std::vector<torch::Tensor> pictures(const ClipSource& clip, const FileFacts& video,
                                      const ClipWindow& window, const std::vector<int64_t>& positions,
                                      OpenedClip* opened = nullptr) const;

 private:
  // The entry's pictures at `positions`, or none when any is missing or damaged.
  std::vector<torch::Tensor> cached_pictures(const CacheKey& key, int64_t num_pictures,
                                             const std::vector<int64_t>& positions) const;

  torch::Tensor decode_sound(const MediaSource& source, const ClipWindow& window, const MediaTimes* times,
                             OpenedClip* opened = nullptr) const;
  CacheKey silence_key(const MediaSource& source, const ClipWindow& window) const;
  void repeat_warning(const MediaSource& source, const ClipWindow& window) const;

  InputSpec spec_;
  std::shared_ptr<OnceLog> warnings_;
  ClipDecoder decoder_;
  std::unique_ptr<FeatureCache> cache_;
  std::unique_ptr<MeasuredFacts> measured_;
};

}  // namespace cavmae
