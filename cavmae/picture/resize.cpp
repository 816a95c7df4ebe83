#include "cavmae/picture/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cavmae/core/error.h"
#include "cavmae/picture/resize_plan.h"

namespace cavmae {
namespace {

static_assert(Picture::kSlackBytes >= kResizeSlack);

struct Size {
  int64_t height_px = 0, width_px = 0;
};
struct Crop {
  int64_t top_px = 0, left_px = 0;
  Size size;
};

void check_picture(const Picture& picture, int64_t size_px) {
  CAVMAE_CHECK(picture.num_bytes() > 0, "there is no picture to resize");
  CAVMAE_CHECK(size_px >= 1 && size_px <= 16384, "the size of a picture is ", size_px,
               "; it must be 1 to 16384");
}

// The shorter side becomes size_px, the longer one int(size_px * long / short), as torchvision has it.
Size resized_size(const Picture& picture, int64_t size_px) {
  const int64_t height = picture.height_px(), width = picture.width_px();
  const auto longer = static_cast<int64_t>(static_cast<double>(size_px * std::max(height, width)) /
                                           static_cast<double>(std::min(height, width)));
  return height <= width ? Size{size_px, longer} : Size{longer, size_px};
}

// Where a centred square of size_px starts on a side; halves go to the even neighbour, as Python rounds.
int64_t center_offset(int64_t side_px, int64_t size_px) {
  return static_cast<int64_t>(std::nearbyint(static_cast<double>(side_px - size_px) / 2.0));
}

// The part `crop` of the picture resized to `whole`; nothing else is computed.
Picture resize_part(const Picture& picture, Size whole, const Crop& crop) {
  const int64_t height = picture.height_px(), width = picture.width_px();
  const int64_t crop_bytes = crop.size.width_px * 3;
  ResizeTaps columns = make_resize_taps({.input_px = height,
                                         .output_px = whole.height_px,
                                         .first_px = crop.top_px,
                                         .num_outputs_px = crop.size.height_px});
  const bool same_height = height == whole.height_px;
  const int64_t first_row = same_height ? crop.top_px : columns.first.front();
  const int64_t last_row =
      same_height ? crop.top_px + crop.size.height_px : columns.first.back() + columns.count.back();

  Picture narrowed;  // owns what `source` points to
  const uint8_t* source = picture.pixels() + first_row * picture.row_bytes() + crop.left_px * 3;
  int64_t stride = picture.row_bytes();
  if (width != whole.width_px) {
    // Wide enough for what is written past the end of a row.
    narrowed = Picture(last_row - first_row, crop.size.width_px + (kResizeSlack + 2) / 3);
    const ResizeTaps taps = make_resize_taps({.input_px = width,
                                              .output_px = whole.width_px,
                                              .first_px = crop.left_px,
                                              .num_outputs_px = crop.size.width_px});
    best_resize_kernel().functions.rows({.taps = &taps,
                                         .source = picture.pixels() + first_row * picture.row_bytes(),
                                         .target = narrowed.pixels(),
                                         .source_stride = picture.row_bytes(),
                                         .target_stride = narrowed.row_bytes(),
                                         .num_rows = narrowed.height_px()});
    source = narrowed.pixels();
    stride = narrowed.row_bytes();
  }
  Picture result(crop.size.height_px, crop.size.width_px);
  if (same_height) {
    for (int64_t y = 0; y < crop.size.height_px; ++y)
      std::memcpy(result.pixels() + y * crop_bytes, source + y * stride, static_cast<size_t>(crop_bytes));
    return result;
  }
  for (int32_t& first : columns.first) first -= static_cast<int32_t>(first_row);
  best_resize_kernel().functions.columns({.taps = &columns,
                                          .source = source,
                                          .target = result.pixels(),
                                          .source_stride = stride,
                                          .target_stride = crop_bytes,
                                          .row_bytes = crop_bytes});
  return result;
}

}  // namespace

Picture resize_shorter_side(const Picture& picture, int64_t size_px) {
  check_picture(picture, size_px);
  const Size whole = resized_size(picture, size_px);
  return resize_part(picture, whole, {.size = whole});
}

Picture resize_and_crop(const Picture& picture, int64_t size_px) {
  check_picture(picture, size_px);
  const Size whole = resized_size(picture, size_px);
  return resize_part(picture, whole,
                     {.top_px = center_offset(whole.height_px, size_px),
                      .left_px = center_offset(whole.width_px, size_px),
                      .size = {size_px, size_px}});
}

std::vector<Picture> squares_of(const std::vector<Picture>& pictures, int64_t size_px) {
  std::vector<Picture> squares;
  for (size_t i = 0; i < pictures.size(); ++i) {
    const bool repeated = i > 0 && pictures[i].shares(pictures[i - 1]);
    squares.push_back(repeated ? squares.back() : resize_and_crop(pictures[i], size_px));
  }
  return squares;
}

Picture fit_width(const Picture& picture, int64_t most_px, int64_t step_px) {
  const auto step = static_cast<double>(step_px);
  const auto fit = [&](double side) {
    return std::max<int64_t>(step_px, std::llround(side / step) * step_px);
  };
  const auto height = static_cast<double>(picture.height_px()),
             width = static_cast<double>(picture.width_px());
  const double scale = most_px > 0 ? std::min(1.0, static_cast<double>(most_px) / width) : 1.0;
  const Size whole{.height_px = fit(height * scale), .width_px = fit(width * scale)};
  check_picture(picture, std::min(whole.height_px, whole.width_px));
  if (whole.height_px == picture.height_px() && whole.width_px == picture.width_px()) return picture;
  return resize_part(picture, whole, {.size = whole});
}

const char* resize_kernel_in_use() {
  return best_resize_kernel().name;
}

}  // namespace cavmae
