#include "cavmae/media/chroma_plane.h"

#include <algorithm>
#include <cmath>

namespace cavmae {
namespace {

const AVPixFmtDescriptor& yuv_description(const AVFrame& frame) {
  return *av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
}

enum class Along { rows, columns };

// How many pixels a chroma sample lies behind the first of those it stands for.
float chroma_offset(AVChromaLocation location, Along along, int shift) {
  const float last = static_cast<float>((1 << shift) - 1), middle = last / 2.0f;
  switch (location) {
    case AVCHROMA_LOC_LEFT:
      return along == Along::columns ? 0.0f : middle;
    case AVCHROMA_LOC_TOPLEFT:
      return 0.0f;
    case AVCHROMA_LOC_TOP:
      return along == Along::columns ? middle : 0.0f;
    case AVCHROMA_LOC_BOTTOMLEFT:
      return along == Along::columns ? 0.0f : last;
    case AVCHROMA_LOC_BOTTOM:
      return along == Along::columns ? middle : last;
    default:
      return middle;
  }
}

// FFmpeg's cubic: a smooth curve through the samples.
float cubic(float distance) {
  constexpr float kC = 0.6f;
  const float x = std::abs(distance);
  if (x < 1.0f) return ((2.0f - kC) * x - 3.0f + kC) * x * x + 1.0f;
  return x < 2.0f ? ((-kC * x + 5.0f * kC) * x - 8.0f * kC) * x + 4.0f * kC : 0.0f;
}

}  // namespace

ChromaPlane::ChromaPlane(const AVFrame& frame, int component, float scale)
    : samples_(frame, component),
      scale_(scale),
      zero_(static_cast<float>(1 << (yuv_description(frame).comp[component].depth - 1))),
      shift_x_(yuv_description(frame).log2_chroma_w),
      shift_y_(yuv_description(frame).log2_chroma_h),
      offset_y_(chroma_offset(frame.chroma_location, Along::rows, shift_y_)),
      blended_(static_cast<size_t>(samples_.width())) {
  const float offset = chroma_offset(frame.chroma_location, Along::columns, shift_x_);
  for (int x = 0; x < frame.width; ++x) columns_.push_back(taps_of(x, shift_x_, offset, samples_.width()));
}

// `pixel` among `count` samples that stand for 2^shift pixels each; beyond the ends the last one goes on.
ChromaPlane::Taps ChromaPlane::taps_of(int pixel, int shift, float offset, int count) {
  const float place = (static_cast<float>(pixel) - offset) / static_cast<float>(1 << shift);
  const int before = static_cast<int>(std::floor(place));
  Taps taps;
  for (int k = 0; k < 4; ++k) {
    const int sample = before - 1 + k;
    taps.at[static_cast<size_t>(k)] = std::clamp(sample, 0, count - 1);
    taps.weight[static_cast<size_t>(k)] = cubic(place - static_cast<float>(sample));
  }
  return taps;
}

void ChromaPlane::fill(int y, float* out) {
  const Taps rows = taps_of(y, shift_y_, offset_y_, samples_.height());
  std::fill(blended_.begin(), blended_.end(), 0.0f);
  for (size_t k = 0; k < rows.at.size(); ++k) {
    if (rows.weight[k] == 0.0f) continue;
    const std::vector<float>& row = sample_row(rows.at[k]);
    for (size_t x = 0; x < blended_.size(); ++x) blended_[x] += rows.weight[k] * row[x];
  }
  widen(blended_, out);
}

const std::vector<float>& ChromaPlane::sample_row(int y) {
  Kept& kept = kept_[static_cast<size_t>(y) % kept_.size()];
  if (kept.y == y) return kept.row;
  const uint16_t* numbers = samples_.row(y);
  kept.y = y;
  kept.row.resize(blended_.size());
  for (size_t x = 0; x < blended_.size(); ++x)
    kept.row[x] = (static_cast<float>(numbers[x]) - zero_) * scale_;
  return kept.row;
}

void ChromaPlane::widen(const std::vector<float>& row, float* out) const {
  if (shift_x_ == 0) {
    std::copy(row.begin(), row.end(), out);
    return;
  }
  for (size_t x = 0; x < columns_.size(); ++x) {
    const auto& [at, weight] = columns_[x];
    out[x] = 0.0f;
    for (size_t k = 0; k < at.size(); ++k) out[x] += weight[k] * row[static_cast<size_t>(at[k])];
  }
}

}  // namespace cavmae
