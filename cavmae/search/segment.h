// The vectors of many moments in a file that never changes: segments/000012.safetensors with `audio` and
// `video`, float or half [N, D] (NaN rows: the moment lacks that side; not in the file: all lack it), and
// int64 [N] `moment`, `file`, `start_ms` and `end_ms`. Private to this folder. Free functions; safe from
// several threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "cavmae/core/torch.h"
#include "cavmae/search/catalog.h"
#include "cavmae/search/moment_rows.h"

namespace cavmae {

// Those of the tail, in the order of the moments' ids.
MomentRows read_tail(Catalog& catalog, int64_t embed_dim, torch::ScalarType type);

std::filesystem::path segment_file(const std::filesystem::path& generation, int64_t segment);

// Writes the file beside and renames it. Its checksum.
std::string write_segment(const std::filesystem::path& file, const MomentRows& rows);

// Mapped: rows are brought in as they are touched. Throws DataError, which names the file and the cure, where
// it is not there, damaged in its header, or of other sizes than expected.
MomentRows map_segment(const std::filesystem::path& file, int64_t num_rows, int64_t embed_dim,
                       torch::ScalarType type);

}  // namespace cavmae
