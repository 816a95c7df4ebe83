#include <algorithm>
#include <array>
#include <cmath>

#include "cavmae/core/error.h"
#include "cavmae/report/report.h"

namespace cavmae {
namespace {

// Night blue over violet, red and amber to a warm white. The anchors are 13 units of CIE L* apart (5 to
// 97), so equal steps of energy look like equal steps.
struct Colour {
  double red, green, blue;
};
constexpr std::array<Colour, 8> kAnchors = {{{11, 15, 36},
                                             {50, 30, 100},
                                             {112, 40, 138},
                                             {176, 61, 130},
                                             {228, 95, 96},
                                             {248, 149, 64},
                                             {252, 202, 84},
                                             {255, 247, 216}}};
constexpr Colour kHidden = {128, 132, 140};  // neutral: no energy has this colour

// position in [0, 1].
Colour colour_at(double position) {
  const double place = std::clamp(position, 0.0, 1.0) * (kAnchors.size() - 1);
  const auto left = std::min<size_t>(static_cast<size_t>(place), kAnchors.size() - 2);
  const double share = place - static_cast<double>(left);
  const Colour &a = kAnchors[left], &b = kAnchors[left + 1];
  return {a.red + share * (b.red - a.red), a.green + share * (b.green - a.green),
          a.blue + share * (b.blue - a.blue)};
}

}  // namespace

torch::Tensor spectrogram_picture(const torch::Tensor& fbank, double low, double high) {
  CAVMAE_CHECK(fbank.dim() == 2, "a spectrogram is made of a filterbank [T, F], found ", fbank.sizes());
  const torch::Tensor values = fbank.to(torch::kCPU, torch::kFloat32).contiguous();
  const int64_t frames = values.size(0), bins = values.size(1);
  torch::Tensor picture = torch::empty({bins, frames, 3}, torch::kUInt8);
  const float* in = values.data_ptr<float>();
  uint8_t* out = picture.data_ptr<uint8_t>();
  const double span = high > low ? high - low : 1.0;
  for (int64_t row = 0; row < bins; ++row) {
    const int64_t bin = bins - 1 - row;  // low frequencies below
    for (int64_t t = 0; t < frames; ++t) {
      const double value = in[t * bins + bin];
      const Colour colour = std::isnan(value) ? kHidden : colour_at((value - low) / span);
      for (const double channel : {colour.red, colour.green, colour.blue})
        *out++ = static_cast<uint8_t>(std::lround(channel));
    }
  }
  return picture;
}

}  // namespace cavmae
