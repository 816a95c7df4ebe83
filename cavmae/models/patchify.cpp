#include <cmath>

#include "cavmae/models/cav_mae.h"
#include "cavmae/nn/patches.h"

namespace cavmae {

torch::Tensor patchify_audio(const torch::Tensor& audio, int64_t patch) {
  return cut_patches(audio.transpose(1, 2).unsqueeze(1), patch, PatchOrder::channels_last);
}

torch::Tensor patchify_video(const torch::Tensor& video, int64_t patch) {
  return cut_patches(video, patch, PatchOrder::channels_last);
}

torch::Tensor unpatchify_audio(const torch::Tensor& patches, int64_t patch, int64_t num_frames) {
  const int64_t columns = num_frames / patch;
  return join_patches(patches, {.rows = patches.size(1) / columns, .columns = columns}, patch)
      .squeeze(1)
      .transpose(1, 2);
}

torch::Tensor unpatchify_video(const torch::Tensor& patches, int64_t patch) {
  const auto side = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(patches.size(1)))));
  return join_patches(patches, {.rows = side, .columns = side}, patch);
}

}  // namespace cavmae
