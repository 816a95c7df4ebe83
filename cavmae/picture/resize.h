// Pictures in other sizes, as Pillow and torchvision make them: antialiased bicubic, in two passes of 8 bits
// (resize_plan.h). Free functions; safe from several threads. Throw Error for a picture that is none and for
// sizes beyond 1 to 16384.
#pragma once

#include <cstdint>
#include <vector>

#include "cavmae/picture/picture.h"

namespace cavmae {

// The shorter side becomes `size_px`, the longer one int(size * long / short).
Picture resize_shorter_side(const Picture& picture, int64_t size_px);

// [S, S]: resized and centre-cropped; only the cropped part is computed.
Picture resize_and_crop(const Picture& picture, int64_t size_px);
// Likewise, of each. Pictures that are one in a row are one afterwards.
std::vector<Picture> squares_of(const std::vector<Picture>& pictures, int64_t size_px);

// For showing: no wider than `most_px` (0: as wide as it is), of the same shape but for sides that are
// multiples of step_px. The picture itself where it fits.
Picture fit_width(const Picture& picture, int64_t most_px, int64_t step_px = 1);

// The version of the resize that this process takes.
const char* resize_kernel_in_use();

}  // namespace cavmae
