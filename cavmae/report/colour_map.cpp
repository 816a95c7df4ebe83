#include "cavmae/report/colour_map.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "cavmae/core/error.h"

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

ColourRange colour_range(const torch::Tensor& values) {
  constexpr double kShareOutside = 0.01;
  const torch::Tensor finite = values.masked_select(values.isfinite());
  const int64_t n = finite.numel();
  if (n == 0) return {};
  const torch::Tensor sorted = std::get<0>(finite.sort());
  const auto outside = static_cast<int64_t>(kShareOutside * static_cast<double>(n));
  return {sorted[outside].item<double>(), sorted[n - 1 - outside].item<double>()};
}

torch::Tensor coloured(const torch::Tensor& values, const ColourRange& range) {
  CAVMAE_CHECK(values.dim() == 2, "what is coloured must be [rows, columns], found ", values.sizes());
  const torch::Tensor numbers = values.to(torch::kCPU, torch::kFloat32).contiguous();
  torch::Tensor picture = torch::empty({numbers.size(0), numbers.size(1), 3}, torch::kUInt8);
  const float* in = numbers.data_ptr<float>();
  uint8_t* out = picture.data_ptr<uint8_t>();
  const double span = range.high > range.low ? range.high - range.low : 1.0;
  for (int64_t i = 0; i < numbers.numel(); ++i) {
    const Colour colour = std::isnan(in[i]) ? kHidden : colour_at((in[i] - range.low) / span);
    for (const double channel : {colour.red, colour.green, colour.blue})
      *out++ = static_cast<uint8_t>(std::lround(channel));
  }
  return picture;
}

torch::Tensor spectrogram_picture(const torch::Tensor& fbank, const ColourRange& range) {
  CAVMAE_CHECK(fbank.dim() == 2, "a spectrogram is made of a filterbank [T, F], found ", fbank.sizes());
  return coloured(fbank.t().flip(0), range);
}

torch::Tensor laid_over(const torch::Tensor& picture, const torch::Tensor& heat, const ColourRange& range) {
  CAVMAE_CHECK(picture.sizes().slice(0, 2) == heat.sizes(), "a heat map of ", heat.sizes(),
               " does not fit a picture of ", picture.sizes());
  constexpr double kHeatShare = 0.6;
  const torch::Tensor grey =
      (picture.to(torch::kFloat32) * torch::tensor({0.299F, 0.587F, 0.114F})).sum(2, true);
  const torch::Tensor colours = coloured(heat, range).to(torch::kFloat32);
  return (grey * (1 - kHeatShare) + colours * kHeatShare).round().clamp(0, 255).to(torch::kUInt8);
}

}  // namespace cavmae
