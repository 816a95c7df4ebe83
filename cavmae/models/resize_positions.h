// Position embeddings for clips of another length or pictures of another size. Free functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

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

// The grid whose fixed 2-D sin-cos table this is, or that it was trained from and is still near to; nothing
// where it is near to none, or has no numbers ("meta"). `likely_rows` is tried first.
std::optional<PatchGrid> sincos_grid(const torch::Tensor& table, int64_t likely_rows);

// What becomes of position embeddings that are those of clips of another length or pictures of another size.
enum class PositionFit { refuse, trim, interpolate };
inline std::vector<std::pair<PositionFit, std::string>> option_names(PositionFit) {
  return {
      {PositionFit::refuse, "none"}, {PositionFit::trim, "trim"}, {PositionFit::interpolate, "interpolate"}};
}

struct ResizedTable {
  torch::Tensor table;  // float [1, L', D]
  std::string how;      // "trimmed to 31 of 64 columns"
};

// Note [Resized positions]: a table that is the sin-cos one of its grid is computed anew for the other grid.
// Any other was trained.
//   interpolate: it is interpolated between its grid's places (bicubic, corners where patches have their
//     centres, as PyTorch's interpolate(align_corners=False)).
//   trim: of sound that is shorter the first columns are kept, and what is left to fit is interpolated: sound
//     that is longer, other mel bins, pictures.
// A column of patches is 160 ms of sound whatever the clip's length, so trimming leaves every patch the
// position that it was trained at, as the sin-cos table does and as the authors advise for clips of 5
// seconds, while interpolating would tell the network that sound runs faster. A picture is scaled to the
// network's size as a whole, so its positions are, too. table: float [1, L, D]; `name` as in
// is_position_table().
ResizedTable resize_positions(const torch::Tensor& table, const std::string& name, const GridChange& grids,
                              PositionFit fit);

}  // namespace cavmae
