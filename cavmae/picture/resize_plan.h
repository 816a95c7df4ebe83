// The taps of Pillow's antialiased bicubic resize and the two passes over them, in a version for every
// processor and others for what some have. Private to this folder; a plan is immutable and may be shared by
// threads.
#pragma once

#include <cstdint>
#include <vector>

#include "cavmae/isa/kernel_table.h"

namespace cavmae {

// Note [Resize in 8 bits]
// Pillow resizes in two passes, along rows and then along columns, and rounds to 8 bits after each. An output
// pixel is the sum of tap * pixel with taps in fixed point (22 bits after the point), rounded and clipped.
// Integer sums do not depend on their order, so every version gives the very same picture. The filter is
// Keys' cubic with a = -0.5, stretched by the scale where the picture shrinks.
struct ResizeTaps {
  int64_t num_taps = 0;         // room for each output pixel, even
  std::vector<int32_t> first;   // [outputs]: the first input pixel
  std::vector<int32_t> count;   // [outputs]: how many pixels are summed
  std::vector<int32_t> taps;    // [outputs, num_taps], zero where unused
  std::vector<int32_t> paired;  // [outputs, num_taps / 2, 8]: taps s, t as s s s t t t 0 0, for RGBRGB
};

struct ResizeRange {
  int64_t input_px = 0, output_px = 0;       // of the whole side
  int64_t first_px = 0, num_outputs_px = 0;  // the part of the output that is wanted
};

ResizeTaps make_resize_taps(const ResizeRange& range);

// One pass. Rows of `source` and `target` are `*_stride` bytes apart; pixels are three bytes.
struct ResizePass {
  const ResizeTaps* taps = nullptr;
  const uint8_t* source = nullptr;
  uint8_t* target = nullptr;
  int64_t source_stride = 0, target_stride = 0;
  int64_t num_rows = 0;   // rows: how many; columns: unused
  int64_t row_bytes = 0;  // columns: bytes of a row; rows: unused
};

// Along rows: num_rows rows, each to as many pixels as there are taps for. Up to kResizeSlack bytes past the
// end of each source row are read, and past the end of each target row written.
inline constexpr int64_t kResizeSlack = 8;
void resize_rows_baseline(const ResizePass& pass);
void resize_rows_avx2(const ResizePass& pass);  // where CAVMAE_X86_KERNELS

// Along columns: to as many rows as there are taps for.
void resize_columns_baseline(const ResizePass& pass);
void resize_columns_avx2(const ResizePass& pass);  // where CAVMAE_X86_KERNELS

struct ResizePasses {
  void (*rows)(const ResizePass&);
  void (*columns)(const ResizePass&);
};
using ResizeKernel = KernelVersion<ResizePasses>;
std::vector<const ResizeKernel*> usable_resize_kernels();
const ResizeKernel& best_resize_kernel();

}  // namespace cavmae
