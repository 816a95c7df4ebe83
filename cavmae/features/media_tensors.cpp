#include "cavmae/features/media_tensors.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "cavmae/core/error.h"

namespace cavmae {

torch::Tensor to_tensor(const Picture& picture) {
  if (!picture.is_there()) return {};
  return torch::from_blob(
      picture.memory().get(), {picture.height_px(), picture.width_px(), 3},
      [memory = picture.memory()](void*) {}, torch::kUInt8);
}

std::vector<torch::Tensor> to_tensors(const std::vector<Picture>& pictures) {
  std::vector<torch::Tensor> out;
  for (const Picture& picture : pictures) out.push_back(to_tensor(picture));
  return out;
}

torch::Tensor to_tensor(std::vector<float> waveform) {
  const auto size = static_cast<int64_t>(waveform.size());
  const auto samples = std::make_shared<std::vector<float>>(std::move(waveform));
  return torch::from_blob(
      samples->data(), {size}, [samples](void*) {}, torch::kFloat32);
}

Picture to_picture(const torch::Tensor& image) {
  CAVMAE_CHECK(image.defined() && image.dim() == 3 && image.size(2) == 3 &&
                   image.scalar_type() == torch::kUInt8 && image.numel() > 0,
               "a picture must be uint8 [H, W, 3], not ",
               image.defined() ? concat(image.scalar_type(), " ", image.sizes()) : "undefined");
  const torch::Tensor pixels = image.cpu().contiguous();
  Picture out(image.size(0), image.size(1));
  std::memcpy(out.pixels(), pixels.data_ptr<uint8_t>(), static_cast<size_t>(out.num_bytes()));
  return out;
}

std::vector<float> to_waveform(const torch::Tensor& waveform) {
  CAVMAE_CHECK(waveform.defined() && waveform.dim() == 1 && waveform.scalar_type() == torch::kFloat32,
               "sound must be float [n]");
  const torch::Tensor samples = waveform.cpu().contiguous();
  return {samples.data_ptr<float>(), samples.data_ptr<float>() + samples.numel()};
}

}  // namespace cavmae
