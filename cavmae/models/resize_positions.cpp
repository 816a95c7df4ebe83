#include "cavmae/models/resize_positions.h"

#include <cmath>

#include "cavmae/core/error.h"
#include "cavmae/nn/position_embedding.h"

namespace cavmae {
namespace {

PatchGrid grid_of(const std::string& name, const CavMaeConfig& config) {
  if (name.ends_with("_a")) return {.rows = config.audio_rows(), .columns = config.audio_columns()};
  const int64_t side = config.image_size / config.patch_size;
  return {.rows = side, .columns = side};
}

// The grid that a table of so many rows has, when nothing else is known.
PatchGrid guess_grid(const PositionTable& table, const PatchGrid& like) {
  if (table.name.ends_with("_a")) {
    CAVMAE_CHECK_AS(CheckpointError, table.length % like.rows == 0, table.where, ": '", table.name, "' has ",
                    table.length, " positions, which are no grid of ", like.rows, " rows of frequency");
    return {.rows = like.rows, .columns = table.length / like.rows};
  }
  const auto side = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(table.length))));
  CAVMAE_CHECK_AS(CheckpointError, side * side == table.length, table.where, ": '", table.name, "' has ",
                  table.length, " positions, which are no square grid");
  return {.rows = side, .columns = side};
}

bool is_sincos(const torch::Tensor& table, const PatchGrid& grid) {
  constexpr double kTolerance = 1e-3;  // half-precision files included
  if (table.size(2) % 4 != 0) return false;
  return table.to(torch::kFloat32).allclose(sincos_positions(table.size(2), grid), 0.0, kTolerance);
}

}  // namespace

bool is_position_table(const std::string& name) {
  return name == "pos_embed_a" || name == "pos_embed_v" || name == "decoder_pos_embed_a" ||
         name == "decoder_pos_embed_v";
}

GridChange grid_change(const PositionTable& table, const std::optional<CavMaeConfig>& from,
                       const CavMaeConfig& to) {
  GridChange grids{.from = {}, .to = grid_of(table.name, to)};
  if (from) grids.from = grid_of(table.name, *from);
  if (grids.from.size() != table.length) grids.from = guess_grid(table, grids.to);
  return grids;
}

torch::Tensor resize_positions(const torch::Tensor& table, const GridChange& grids) {
  const int64_t width = table.size(2);
  if (is_sincos(table, grids.from)) return sincos_positions(width, grids.to);
  const auto picture = table.to(torch::kFloat32)
                           .view({1, grids.from.rows, grids.from.columns, width})
                           .permute({0, 3, 1, 2})
                           .contiguous();
  const auto resized = at::upsample_bicubic2d(picture, {grids.to.rows, grids.to.columns},
                                              /*align_corners=*/false);
  return resized.permute({0, 2, 3, 1}).reshape({1, grids.to.size(), width});
}

}  // namespace cavmae
