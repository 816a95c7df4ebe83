// Position embeddings for clips of another length or pictures of another size. Free functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cavmae/core/torch.h"
#include "cavmae/models/cav_mae_config.h"
#include "cavmae/nn/patches.h"

namespace cavmae {

struct GridChange {
  PatchGrid from, to;
};

// "pos_embed_a", "decoder_pos_embed_v", ...
bool is_position_table(const std::string& name);

// A table as a checkpoint holds it.
struct PositionTable {
  std::string name;
  int64_t length = 0;  // its rows L
  std::string where;   // names the file in errors
};
// The grids of a table: the one it was made for and that of `to`. Without the network it comes from, a
// picture is taken to be square and sound to have as many rows of frequency as in `to`. Throws
// CheckpointError when the length is not that of such a grid.
GridChange grid_change(const PositionTable& table, const std::optional<CavMaeConfig>& from,
                       const CavMaeConfig& to);

// Note [Resized positions]: a table that is the sin-cos one of its grid is computed anew for the other grid;
// any other was trained, and is interpolated between its grid's places (bicubic, corners where patches have
// their centres, as PyTorch's interpolate(align_corners=False)). table: float [1, L, D] -> float [1, L', D]
torch::Tensor resize_positions(const torch::Tensor& table, const GridChange& grids);

}  // namespace cavmae
