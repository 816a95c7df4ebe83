// What media/ and picture/ read, write and resize, as tensors. Test code only.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cavmae/core/random.h"
#include "cavmae/features/media_tensors.h"
#include "cavmae/media/image_writer.h"
#include "cavmae/media/media_reader.h"
#include "cavmae/picture/resize.h"

namespace cavmae {

// float [n]
inline torch::Tensor audio_tensor(const MediaSource& source, const AudioRequest& request,
                                  bool* has_gaps = nullptr) {
  return to_tensor(read_audio(source, request, has_gaps));
}

// uint8 [H, W, 3], every level drawn by itself.
inline torch::Tensor random_image(int64_t height, int64_t width) {
  Random random{static_cast<uint64_t>(height), static_cast<uint64_t>(width)};
  torch::Tensor image = torch::empty({height, width, 3}, torch::kUInt8);
  for (int64_t i = 0; i < image.numel(); ++i)
    image.data_ptr<uint8_t>()[i] = static_cast<uint8_t>(random.integer(0, 255));
  return image;
}

// uint8 [H, W, 3] each
inline std::vector<torch::Tensor> frame_tensors(const MediaSource& source,
                                                const std::vector<double>& times_seconds,
                                                const MediaChoice& choice = {},
                                                const MediaTimes* times = nullptr) {
  return to_tensors(read_frames(source, times_seconds, choice, times));
}
inline torch::Tensor image_tensor(const MediaSource& source, const MediaChoice& choice = {}) {
  return to_tensor(read_image(source, choice));
}

inline torch::Tensor resize_shorter_side(const torch::Tensor& image, int64_t size_px) {
  return to_tensor(resize_shorter_side(to_picture(image), size_px));
}
inline torch::Tensor resize_and_crop(const torch::Tensor& image, int64_t size_px) {
  return to_tensor(resize_and_crop(to_picture(image), size_px));
}

inline std::string encode_png(const torch::Tensor& image) {
  return encode_png(to_picture(image));
}
inline std::string encode_jpeg(const torch::Tensor& image, int quality = 85) {
  return encode_jpeg(to_picture(image), quality);
}
inline void write_png(const std::filesystem::path& path, const torch::Tensor& image) {
  write_png(path, to_picture(image));
}

}  // namespace cavmae
