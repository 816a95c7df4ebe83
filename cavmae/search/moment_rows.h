// Moments and their vectors as tensors, a row each. Private to this folder. Free functions; safe from several
// threads.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cavmae/core/torch.h"
#include "cavmae/data/clip.h"
#include "cavmae/search/library_file.h"

namespace cavmae {

// A moment of a file that is about to be added. Vectors as bytes in the library's type; empty: it has none.
struct NewMoment {
  int64_t start_ms = 0, end_ms = 0;
  std::string audio, video;
};

// One that a library has, likewise.
struct StoredMoment {
  Moment moment;
  std::string audio, video;
};

// Rows of moments, as of a segment.
struct MomentRows {
  torch::Tensor audio, video;                    // float or half [N, D]; all_lacking() where no row has it
  torch::Tensor moment, file, start_ms, end_ms;  // int64 [N]

  int64_t size() const { return moment.size(0); }
};

// The vectors of a side, float or half [N, D].
const torch::Tensor& vectors_of(const MomentRows& rows, ClipSide side);

// NaN rows without memory of their own, of a side that no moment has: [N, D].
torch::Tensor all_lacking(int64_t size, int64_t embed_dim, torch::ScalarType type);
bool is_all_lacking(const torch::Tensor& vectors);

// The rows at these positions, in memory. rows: int64 [M]
MomentRows select_rows(const MomentRows& rows, const torch::Tensor& positions);
MomentRows join_rows(const std::vector<MomentRows>& parts);

// Not filled. A row without a vector of a side is NaN there.
MomentRows empty_rows(int64_t size, int64_t embed_dim, torch::ScalarType type);
// Throws DataError where a vector is of another size than the rows.
void set_row(MomentRows& rows, int64_t row, const StoredMoment& at);
Moment moment_at(const MomentRows& rows, int64_t row);

// A vector as a NewMoment has it. vector: float [D], or undefined, which is no bytes.
std::string vector_bytes(const torch::Tensor& vector, torch::ScalarType type);

}  // namespace cavmae
