// What a search looks at in a library in a folder: all moments as they were at one time, in segments that are
// mapped and a tail in memory. Private to this folder. Immutable; safe from several threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cavmae/core/torch.h"
#include "cavmae/eval/nearest.h"
#include "cavmae/search/catalog.h"
#include "cavmae/search/library_settings.h"
#include "cavmae/search/library_snapshot.h"
#include "cavmae/search/segment.h"
#include "cavmae/search/segment_lists.h"

namespace cavmae {

class FolderSnapshot : public LibrarySnapshot {
 public:
  struct Part {
    MomentRows rows;
    torch::Tensor alive;                               // bool [N]; undefined: all
    int64_t segment = 0;                               // 0: the tail
    std::optional<SegmentLists> lists = std::nullopt;  // where every row need not be compared
  };

  // Reads the catalog, in a transaction of its own, and maps the segments. Throws DataError for a segment
  // that is lost or damaged.
  FolderSnapshot(Catalog& catalog, const LibrarySettings& settings, const std::filesystem::path& generation);

  const std::vector<Part>& parts() const { return parts_; }
  // What parts with lists have been made with.
  const ListModels& list_models() const { return list_models_; }
  // Which rows of a part are of these files and alive, int64 [M], ascending. files: int64 [n], ids
  torch::Tensor rows_of_files(size_t part, const torch::Tensor& files) const;

  const torch::Tensor& sample(ClipSide side) const override;
  std::vector<std::pair<std::string, std::string>> facts() const override;

 private:
  // The files of a part's rows in the order of their ids, and which rows these are; made when first asked
  // for.
  struct FileOrder {
    std::once_flag made;
    torch::Tensor files, rows;  // int64 [N]; rows undefined: 0, 1, 2 ...
  };

  torch::Tensor draw_sample(ClipSide side) const;

  std::vector<Part> parts_;
  ListModels list_models_;
  mutable std::once_flag drawn_[2];
  mutable torch::Tensor samples_[2];                     // of audio, of video
  std::vector<std::unique_ptr<FileOrder>> file_orders_;  // of each part
};

// Where parts have lists, a query looks into some of them; else every vector is compared.
class FolderSelection : public MomentSelection {
 public:
  // files: int64 [n], ids; undefined: all
  FolderSelection(std::shared_ptr<const FolderSnapshot> snapshot, const torch::Tensor& files, bool exact);

  const LibrarySnapshot& snapshot() const override { return *snapshot_; }
  int64_t size() const override;
  bool compares_all() const override;
  NearMoments nearest(const torch::Tensor& query, const ComparedSides& sides, int64_t k,
                      int64_t effort) const override;
  std::vector<NearMoment> compare(const torch::Tensor& query, ClipSide side,
                                  const torch::Tensor& files) const override;

 private:
  Neighbors nearest_rows(size_t part, const torch::Tensor& query, const ComparedSides& sides, int64_t k,
                         int64_t effort, bool& is_all) const;

  std::shared_ptr<const FolderSnapshot> snapshot_;
  bool exact_;
  std::vector<torch::Tensor> selected_;  // by part: bool [N], or undefined, which is all
};

}  // namespace cavmae
