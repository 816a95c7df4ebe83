// Decoded features on the disk: tensors of equal records under a name, valid as long as the sources they came
// from have not changed. Any number of threads and processes may share a folder: an entry appears whole or
// not at all, and a damaged one counts as missing.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/core/torch.h"
#include "cavmae/media/media_source.h"

namespace cavmae {

// The version of an entry, which is part of its format: goes up with every change of what is probed or
// decoded, so that no entry keeps what an earlier program read wrongly. (FFmpeg's own version is beside it in
// the entry; a build without media libraries takes entries of any.) Entries before 2 said none, which reads
// as 0.
constexpr uint32_t kCacheVersion = 3;

struct CacheKey {
  std::string name;   // everything that decides the content: what, sources, window, sizes
  std::string stamp;  // state of the sources; another one makes the entry stale
};

// The stamps of the sources: of files, size and time of change, or that they are missing.
std::string source_stamp(const std::vector<MediaSource>& sources);

// An open entry. One owner.
class CacheEntry {
 public:
  CacheEntry(CacheEntry&& other) noexcept;
  CacheEntry& operator=(CacheEntry&&) = delete;
  ~CacheEntry();

  int64_t num_records() const { return static_cast<int64_t>(checksums_.size()); }
  const std::vector<int64_t>& record_shape() const { return shape_; }
  torch::ScalarType dtype() const { return dtype_; }

  // Reads one record to `out`, which has room for it. False when it is damaged.
  bool read(int64_t record, void* out) const;
  // The same as a new tensor of record_shape().
  std::optional<torch::Tensor> read(int64_t record) const;

 private:
  friend class FeatureCache;
  CacheEntry() = default;

  int file_ = -1;
  int64_t first_record_at_ = 0, record_bytes_ = 0;
  torch::ScalarType dtype_ = torch::kFloat32;
  std::vector<int64_t> shape_;
  std::vector<uint64_t> checksums_;
};

class FeatureCache {
 public:
  // Makes the folder; throws Error when that or writing into it is not possible. `version`: of the entries
  // that it writes and takes; another one than this program's own is for tests.
  FeatureCache(std::filesystem::path folder, std::shared_ptr<Log> log, uint32_t version = kCacheVersion);

  // Nothing when there is no entry of this name, it is stale, of another version, or its beginning is
  // damaged. The first of another version that is met is logged, with the number of those in the folder.
  std::optional<CacheEntry> open(const CacheKey& key) const;

  // records: float32, float64 or uint8 [N, ...], N >= 1, at most four dimensions a record. Replaces what
  // stands under the name. A disk that cannot take it is logged once and ends the storing, not the
  // run.
  void store(const CacheKey& key, const torch::Tensor& records) const;

  // Where the entry of this name is or would be.
  std::filesystem::path path_of(const CacheKey& key) const;

 private:
  void warn_of_other_versions() const;

  std::filesystem::path folder_;
  std::shared_ptr<Log> log_;
  uint32_t version_;
  mutable std::atomic<bool> warned_of_versions_ = false;
  mutable std::atomic<bool> can_store_ = true;
};

}  // namespace cavmae
