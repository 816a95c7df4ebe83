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

// table: float [1, L, D] -> float [1, L', D]
torch::Tensor interpolate(const torch::Tensor& table, const GridChange& grids) {
  const int64_t width = table.size(2);
  const auto picture =
      table.view({1, grids.from.rows, grids.from.columns, width}).permute({0, 3, 1, 2}).contiguous();
  const auto resized = at::upsample_bicubic2d(picture, {grids.to.rows, grids.to.columns},
                                              /*align_corners=*/false);
  return resized.permute({0, 2, 3, 1}).reshape({1, grids.to.size(), width});
}

std::string text(const PatchGrid& grid) {
  return concat(grid.rows, " x ", grid.columns);
}

// The root of the mean squared difference to the sin-cos table of a grid, whose own is 0.7.
double distance(const torch::Tensor& table, const PatchGrid& grid) {
  return (table - sincos_positions(table.size(2), grid)).square().mean().sqrt().item<double>();
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

std::optional<PatchGrid> sincos_grid(const torch::Tensor& table, int64_t likely_rows) {
  constexpr double kNear = 0.2;  // between a table and that of a wrong grid it is 0.4 and more
  if (table.is_meta() || table.dim() != 3 || table.size(2) % 4 != 0) return std::nullopt;
  const torch::Tensor values = table.to(torch::kFloat32);
  const int64_t length = table.size(1);
  const auto is_near = [&](int64_t rows) {
    return length % rows == 0 && distance(values, {.rows = rows, .columns = length / rows}) < kNear;
  };
  if (likely_rows > 0 && is_near(likely_rows))
    return PatchGrid{.rows = likely_rows, .columns = length / likely_rows};
  for (int64_t rows = 1; rows <= length; ++rows)
    if (rows != likely_rows && is_near(rows)) return PatchGrid{.rows = rows, .columns = length / rows};
  return std::nullopt;
}

ResizedTable resize_positions(const torch::Tensor& table, const std::string& name, const GridChange& grids,
                              PositionFit fit) {
  if (is_sincos(table, grids.from))
    return {.table = sincos_positions(table.size(2), grids.to), .how = "computed for " + text(grids.to)};
  torch::Tensor values = table.to(torch::kFloat32);
  GridChange rest = grids;
  std::string how;
  if (fit == PositionFit::trim && name.ends_with("_a") && grids.to.columns < grids.from.columns) {
    rest.from.columns = grids.to.columns;
    values = values.view({grids.from.rows, grids.from.columns, -1})
                 .narrow(1, 0, grids.to.columns)
                 .reshape({1, rest.from.size(), table.size(2)});
    how = concat("trimmed to the first ", grids.to.columns, " of ", grids.from.columns, " columns");
  }
  if (how.empty() || rest.from.rows != rest.to.rows) {
    values = interpolate(values, rest);
    how += concat(how.empty() ? "" : ", ", "interpolated from ", text(rest.from), " to ", text(rest.to));
  }
  return {.table = values, .how = how};
}

}  // namespace cavmae
