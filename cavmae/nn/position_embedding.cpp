#include "cavmae/nn/position_embedding.h"

#include <cmath>

#include "cavmae/core/error.h"

namespace cavmae {

torch::Tensor sincos_positions(int64_t width, const PatchGrid& grid) {
  CAVMAE_CHECK(width > 0 && width % 4 == 0, "a width of ", width,
               " has no 2-D sin-cos positions; it must be a multiple of 4");
  const int64_t quarter = width / 4;
  auto table = torch::empty({1, grid.size(), width});
  float* out = table.data_ptr<float>();
  for (int64_t row = 0; row < grid.rows; ++row) {
    for (int64_t column = 0; column < grid.columns; ++column, out += width) {
      for (int64_t i = 0; i < quarter; ++i) {
        const double frequency =
            1.0 / std::pow(10000.0, static_cast<double>(i) / static_cast<double>(quarter));
        const double x = static_cast<double>(column) * frequency, y = static_cast<double>(row) * frequency;
        out[i] = static_cast<float>(std::sin(x));
        out[quarter + i] = static_cast<float>(std::cos(x));
        out[2 * quarter + i] = static_cast<float>(std::sin(y));
        out[3 * quarter + i] = static_cast<float>(std::cos(y));
      }
    }
  }
  return table;
}

}  // namespace cavmae
