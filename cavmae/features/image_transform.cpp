#include "cavmae/features/image_transform.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "cavmae/core/error.h"
#include "cavmae/features/resize_plan.h"

namespace cavmae {
namespace {

struct Size {
  int64_t height_px = 0, width_px = 0;
};
struct Crop {
  int64_t top_px = 0, left_px = 0;
  Size size;
};

using NormalizedLevels = std::array<float, 256>;  // of each level of a channel

NormalizedLevels normalized_levels(size_t channel) {
  NormalizedLevels levels{};
  for (size_t v = 0; v < levels.size(); ++v)
    levels[v] = (static_cast<float>(v) / 255.0f - kImageNetMean[channel]) / kImageNetStd[channel];
  return levels;
}

void check_image(const torch::Tensor& image, int64_t size_px) {
  CAVMAE_CHECK(
      image.dim() == 3 && image.size(2) == 3 && image.scalar_type() == torch::kUInt8 && image.numel() > 0,
      "a picture to resize must be uint8 [H, W, 3], not ", image.scalar_type(), " ", image.sizes());
  CAVMAE_CHECK(size_px >= 1 && size_px <= 16384, "the size of a picture is ", size_px,
               "; it must be 1 to 16384");
}

// The shorter side becomes size_px, the longer one int(size_px * long / short), as torchvision has it.
Size resized_size(const torch::Tensor& image, int64_t size_px) {
  const int64_t height = image.size(0), width = image.size(1);
  const auto longer = static_cast<int64_t>(static_cast<double>(size_px * std::max(height, width)) /
                                           static_cast<double>(std::min(height, width)));
  return height <= width ? Size{size_px, longer} : Size{longer, size_px};
}

// Where a centred square of size_px starts on a side; halves go to the even neighbour, as Python rounds.
int64_t center_offset(int64_t side_px, int64_t size_px) {
  return static_cast<int64_t>(std::nearbyint(static_cast<double>(side_px - size_px) / 2.0));
}

// The pixels of `rows`, which lie row_bytes apart, resized along rows. Stride of the result: target_stride.
void resize_rows(const torch::Tensor& rows, const ResizeTaps& taps, uint8_t* target, int64_t target_stride) {
  const auto run = best_resize_kernel().functions.rows;
  const int64_t num_rows = rows.size(0), row_bytes = rows.size(1) * 3;
  ResizePass pass{.taps = &taps,
                  .source = rows.data_ptr<uint8_t>(),
                  .target = target,
                  .source_stride = row_bytes,
                  .target_stride = target_stride};
  // The kernel reads a little past each row: the last ones are read from a copy that has room behind it.
  const int64_t num_tail = std::min(num_rows, 1 + kResizeSlack / row_bytes);
  pass.num_rows = num_rows - num_tail;
  run(pass);
  const uint8_t* tail = pass.source + pass.num_rows * row_bytes;
  std::vector<uint8_t> copy(static_cast<size_t>(num_tail * row_bytes + kResizeSlack));
  std::memcpy(copy.data(), tail, static_cast<size_t>(num_tail * row_bytes));
  pass.source = copy.data();
  pass.target = target + pass.num_rows * target_stride;
  pass.num_rows = num_tail;
  run(pass);
}

// The part `crop` of the picture resized to `whole`; nothing else is computed.
torch::Tensor resize_part(const torch::Tensor& image, Size whole, const Crop& crop) {
  const int64_t height = image.size(0), width = image.size(1);
  const int64_t crop_bytes = crop.size.width_px * 3;
  ResizeTaps columns = make_resize_taps({.input_px = height,
                                         .output_px = whole.height_px,
                                         .first_px = crop.top_px,
                                         .num_outputs_px = crop.size.height_px});
  const bool same_height = height == whole.height_px;
  const int64_t first_row = same_height ? crop.top_px : columns.first.front();
  const int64_t last_row =
      same_height ? crop.top_px + crop.size.height_px : columns.first.back() + columns.count.back();

  torch::Tensor narrowed;  // owns what `source` points to
  const uint8_t* source = image.data_ptr<uint8_t>() + (first_row * width + crop.left_px) * 3;
  int64_t stride = width * 3;
  if (width != whole.width_px) {
    stride = crop_bytes + kResizeSlack;
    narrowed = torch::empty({last_row - first_row, stride}, torch::kUInt8);
    const ResizeTaps taps = make_resize_taps({.input_px = width,
                                              .output_px = whole.width_px,
                                              .first_px = crop.left_px,
                                              .num_outputs_px = crop.size.width_px});
    resize_rows(image.slice(0, first_row, last_row), taps, narrowed.data_ptr<uint8_t>(), stride);
    source = narrowed.data_ptr<uint8_t>();
  }
  torch::Tensor result = torch::empty({crop.size.height_px, crop.size.width_px, 3}, torch::kUInt8);
  auto* out = result.data_ptr<uint8_t>();
  if (same_height) {
    for (int64_t y = 0; y < crop.size.height_px; ++y)
      std::memcpy(out + y * crop_bytes, source + y * stride, static_cast<size_t>(crop_bytes));
    return result;
  }
  for (int32_t& first : columns.first) first -= static_cast<int32_t>(first_row);
  const ResizePass pass{.taps = &columns,
                        .source = source,
                        .target = out,
                        .source_stride = stride,
                        .target_stride = crop_bytes,
                        .row_bytes = crop_bytes};
  best_resize_kernel().functions.columns(pass);
  return result;
}

}  // namespace

torch::Tensor resize_shorter_side(const torch::Tensor& image, int64_t size_px) {
  check_image(image, size_px);
  const Size whole = resized_size(image, size_px);
  return resize_part(image.contiguous(), whole, {.size = whole});
}

torch::Tensor resize_and_crop(const torch::Tensor& image, int64_t size_px) {
  check_image(image, size_px);
  const Size whole = resized_size(image, size_px);
  return resize_part(image.contiguous(), whole,
                     {.top_px = center_offset(whole.height_px, size_px),
                      .left_px = center_offset(whole.width_px, size_px),
                      .size = {size_px, size_px}});
}

torch::Tensor fit_width(const torch::Tensor& image, int64_t most_px, int64_t step_px) {
  const auto step = static_cast<double>(step_px);
  const auto fit = [&](double side) {
    return std::max<int64_t>(step_px, std::llround(side / step) * step_px);
  };
  const auto height = static_cast<double>(image.size(0)), width = static_cast<double>(image.size(1));
  const double scale = most_px > 0 ? std::min(1.0, static_cast<double>(most_px) / width) : 1.0;
  const Size whole{.height_px = fit(height * scale), .width_px = fit(width * scale)};
  check_image(image, std::min(whole.height_px, whole.width_px));
  if (whole.height_px == image.size(0) && whole.width_px == image.size(1)) return image;
  return resize_part(image.contiguous(), whole, {.size = whole});
}

torch::Tensor normalize_image(const torch::Tensor& image) {
  CAVMAE_CHECK(image.dim() == 3 && image.size(2) == 3 && image.scalar_type() == torch::kUInt8,
               "a picture to normalise must be uint8 [S, S, 3], not ", image.scalar_type(), " ",
               image.sizes());
  const torch::Tensor pixels = image.contiguous();
  const int64_t area = image.size(0) * image.size(1);
  torch::Tensor result = torch::empty({3, image.size(0), image.size(1)}, torch::kFloat32);
  static const std::array<NormalizedLevels, 3> levels = {normalized_levels(0), normalized_levels(1),
                                                         normalized_levels(2)};
  const uint8_t* in = pixels.data_ptr<uint8_t>();
  float* out = result.data_ptr<float>();
  for (int64_t i = 0; i < area; ++i) {
    out[i] = levels[0][in[3 * i]];
    out[area + i] = levels[1][in[3 * i + 1]];
    out[2 * area + i] = levels[2][in[3 * i + 2]];
  }
  return result;
}

torch::Tensor denormalize_image(const torch::Tensor& pixels) {
  CAVMAE_CHECK(pixels.dim() == 3 && pixels.size(0) == 3, "a normalised picture must be float [3, S, S], not ",
               pixels.sizes());
  const torch::Tensor mean =
      torch::tensor({kImageNetMean[0], kImageNetMean[1], kImageNetMean[2]}).view({3, 1, 1});
  const torch::Tensor std =
      torch::tensor({kImageNetStd[0], kImageNetStd[1], kImageNetStd[2]}).view({3, 1, 1});
  const torch::Tensor levels = (pixels.to(torch::kFloat32).cpu() * std + mean) * 255.0f;
  return levels.round().clamp(0, 255).to(torch::kUInt8).permute({1, 2, 0}).contiguous();
}

const char* resize_kernel_in_use() {
  return best_resize_kernel().name;
}

}  // namespace cavmae
