#include "cavmae/features/image_transform.h"

#include <array>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

using NormalizedLevels = std::array<float, 256>;  // of each level of a channel

NormalizedLevels normalized_levels(size_t channel) {
  NormalizedLevels levels{};
  for (size_t v = 0; v < levels.size(); ++v)
    levels[v] = (static_cast<float>(v) / 255.0f - kImageNetMean[channel]) / kImageNetStd[channel];
  return levels;
}

}  // namespace

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

}  // namespace cavmae
