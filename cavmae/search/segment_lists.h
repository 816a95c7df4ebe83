// The inverted lists of a segment, in a file beside it that can be made anew from the segment alone. Private
// to this folder; immutable, safe from several threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "cavmae/core/torch.h"
#include "cavmae/search/list_model.h"
#include "cavmae/search/segment.h"

namespace cavmae {

// Of one side.
struct SideLists {
  torch::Tensor offsets;  // int64 [L + 1]: where a list begins among `rows`; undefined: there are none
  torch::Tensor rows;     // int32 [n], of the segment
  torch::Tensor codes;    // uint8 [n, M], in the order of `rows`; undefined: none
};

struct SegmentLists {
  SideLists audio, video;

  const SideLists& of(ClipSide side) const { return side == ClipSide::audio ? audio : video; }
};

std::filesystem::path lists_file(const std::filesystem::path& segment_file);

// Written beside and renamed.
void write_segment_lists(const std::filesystem::path& file, const MomentRows& rows, const ListModels& models);
// Mapped. Nothing where the file is not there, or is not of these models: then every row is compared.
std::optional<SegmentLists> map_segment_lists(const std::filesystem::path& file, const ListModels& models,
                                              int64_t num_rows);

struct CandidateRequest {
  torch::Tensor query;     // float [D]
  int64_t probe = 1;       // lists
  int64_t most = 0;        // rows that are kept where there are codes
  torch::Tensor selected;  // bool [N] of the segment's rows; undefined: all
};
// Rows that could be near, int64 [n], ascending.
torch::Tensor candidates(const SideLists& lists, const ListModel& model, const CandidateRequest& request);

}  // namespace cavmae
