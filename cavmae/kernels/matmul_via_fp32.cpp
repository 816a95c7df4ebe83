// bf16 matrix products by way of fp32, see Note [bf16 matmul].
#include <algorithm>

#include "cavmae/kernels/buffer.h"
#include "cavmae/kernels/matmul.h"
#include "cavmae/kernels/row_kernels.h"
#include "cavmae/kernels/versions.h"

namespace cavmae::kernels {
namespace {

constexpr int64_t kTileRows = 1024;  // rows that are widened at a time

// Calls work(first row, rows) for tiles of rows.
template <class Work>
void for_tiles(int64_t rows, const Work& work) {
  for (int64_t row = 0; row < rows; row += kTileRows) work(row, std::min(kTileRows, rows - row));
}

// Room for a tile of floats.
Buffer tile_buffer(const ConstMatrix& m) {
  return Buffer(std::min(kTileRows, m.rows) * m.columns * bytes_of(Element::f32));
}

// Rows `row` to `row + n` of bf16, widened into `room`.
ConstMatrix widened(const ConstMatrix& m, int64_t row, int64_t n, const Buffer& room) {
  widen(m.bf16() + row * m.columns, room.as<float>(), n * m.columns);
  return {room.data(), n, m.columns, Element::f32};
}

Matrix rows_of(const Matrix& m, int64_t row, int64_t n) {
  return {.data = static_cast<char*>(m.data) + row * m.columns * bytes_of(m.element),
          .rows = n,
          .columns = m.columns,
          .element = m.element};
}

// The weight with its values rounded to bf16.
class RoundedWeight {
 public:
  explicit RoundedWeight(const WeightRows& weight)
      : values_(weight.rows * weight.columns * bytes_of(Element::f32)),
        rows_{.data = values_.as<float>(), .rows = weight.rows, .columns = weight.columns} {
    round_to_bf16_values(weight.data, values_.as<float>(), weight.rows * weight.columns);
  }
  const WeightRows& rows() const { return rows_; }

 private:
  Buffer values_;
  WeightRows rows_;
};

}  // namespace

void forward_via_fp32(const LinearForward& call) {
  const RoundedWeight weight(call.weight);
  const bool to_float = call.y.element == Element::f32;
  const Buffer x_room = tile_buffer(call.x), y_room = tile_buffer(call.y);
  for_tiles(call.x.rows, [&](int64_t row, int64_t n) {
    const Matrix y = rows_of(call.y, row, n);
    const Matrix wide = to_float ? y : Matrix{.data = y_room.data(), .rows = n, .columns = y.columns};
    linear_forward({.x = widened(call.x, row, n, x_room),
                    .weight = weight.rows(),
                    .bias = to_float ? call.bias : nullptr,
                    .residual = call.residual == nullptr ? nullptr : call.residual + row * y.columns,
                    .y = wide});
    if (!to_float)
      add_rows({.x = wide.floats(),
                .bias = call.bias,
                .y = y.data,
                .rows = n,
                .width = y.columns,
                .element = Element::bf16});
  });
}

void dgrad_via_fp32(const LinearDgrad& call) {
  const RoundedWeight weight(call.weight);
  const bool to_float = call.dx.element == Element::f32;
  const Buffer g_room = tile_buffer(call.g), dx_room = tile_buffer(call.dx);
  for_tiles(call.g.rows, [&](int64_t row, int64_t n) {
    const Matrix dx = rows_of(call.dx, row, n);
    const Matrix wide = to_float ? dx : Matrix{.data = dx_room.data(), .rows = n, .columns = dx.columns};
    linear_dgrad({.g = widened(call.g, row, n, g_room), .weight = weight.rows(), .dx = wide});
    if (!to_float) round_to_bf16(wide.floats(), dx.bf16(), n * dx.columns);
  });
}

void wgrad_via_fp32(const LinearWgrad& call) {
  const Buffer g_room = tile_buffer(call.g), x_room = tile_buffer(call.x);
  Accumulate accumulate = call.accumulate;
  for_tiles(call.g.rows, [&](int64_t row, int64_t n) {
    linear_wgrad({.g = widened(call.g, row, n, g_room),
                  .x = widened(call.x, row, n, x_room),
                  .d_weight = call.d_weight,
                  .accumulate = accumulate});
    accumulate = Accumulate::yes;
  });
}

}  // namespace cavmae::kernels
