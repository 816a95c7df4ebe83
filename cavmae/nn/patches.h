// Pictures cut into square patches and put together again, and rows of tokens picked and placed by index.
// Free functions, safe from several threads.
#pragma once

#include "cavmae/core/torch.h"

namespace cavmae {

// How the patches of a stream lie: token = row * columns + column. For audio the rows are frequency (low mel
// first) and the columns time.
struct PatchGrid {
  int64_t rows = 0, columns = 0;
  int64_t size() const { return rows * columns; }
};

// The order of the values in a patch of P x P pixels with C channels.
enum class PatchOrder {
  channels_first,  // [C, P, P], that of a convolution's weights
  channels_last,   // [P, P, C], that of the reconstruction targets
};

// pictures: [B, C, height, width] -> [B, L, P*P*C]
torch::Tensor cut_patches(const torch::Tensor& pictures, int64_t patch, PatchOrder order);
// The inverse for channels_last. patches: [B, L, P*P*C] -> [B, C, height, width]
torch::Tensor join_patches(const torch::Tensor& patches, const PatchGrid& grid, int64_t patch);

// The rows that `ids` names. Each id occurs once a clip at most: the gradient is placed, not summed.
// tokens: float [B, L, D]; ids: int64 [B, N] -> float [B, N, D]
torch::Tensor pick_tokens(const torch::Tensor& tokens, const torch::Tensor& ids);

// The inverse: [B, L, D] whose rows `ids` are `tokens` and whose others are `filler`.
// tokens: float [B, N, D]; filler: float [1, 1, D]; ids: int64 [B, N], each once a clip
torch::Tensor place_tokens(const torch::Tensor& tokens, const torch::Tensor& filler, const torch::Tensor& ids,
                           int64_t length);

}  // namespace cavmae
