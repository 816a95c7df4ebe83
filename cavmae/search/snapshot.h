// What a search looks at: all moments of a library as they were at one time, in segments that are mapped and
// a tail in memory. Immutable; safe from several threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "cavmae/core/torch.h"
#include "cavmae/search/catalog.h"
#include "cavmae/search/library_settings.h"
#include "cavmae/search/segment.h"
#include "cavmae/search/segment_lists.h"

namespace cavmae {

class Snapshot {
 public:
  struct Part {
    MomentRows rows;
    torch::Tensor alive;                               // bool [N]; undefined: all
    int64_t segment = 0;                               // 0: the tail
    std::optional<SegmentLists> lists = std::nullopt;  // where every row need not be compared
  };

  // Reads the catalog, in a transaction of its own, and maps the segments. Throws DataError for a segment
  // that is lost or damaged.
  Snapshot(Catalog& catalog, const LibrarySettings& settings, const std::filesystem::path& generation);

  const LibrarySettings& settings() const { return settings_; }
  const LibraryCounts& counts() const { return counts_; }
  const std::vector<Part>& parts() const { return parts_; }
  // What parts with lists have been made with.
  const ListModels& list_models() const { return list_models_; }

  // Vectors of up to 10,000 moments, float [n, D], n of those that have this side: the ones whose ids have
  // the smallest hashes, so that a library that grows keeps most of them.
  const torch::Tensor& sample(ClipSide side) const;

 private:
  torch::Tensor draw_sample(ClipSide side) const;

  LibrarySettings settings_;
  LibraryCounts counts_;
  std::vector<Part> parts_;
  ListModels list_models_;
  mutable std::once_flag drawn_[2];
  mutable torch::Tensor samples_[2];  // of audio, of video
};

}  // namespace cavmae
