// Writing pictures, to memory or to a file. Free functions; safe from several threads.
#pragma once

#include <filesystem>
#include <string>

#include "cavmae/core/torch.h"

namespace cavmae {

// image: uint8 [H, W, 3] (RGB). Returns the bytes of a PNG file.
std::string encode_png(const torch::Tensor& image);

// image: uint8 [H, W, 3]; quality 1 (worst) to 100. Returns the bytes of a JPEG file.
std::string encode_jpeg(const torch::Tensor& image, int quality = 85);

// Writes a PNG beside the target and renames it.
void write_png(const std::filesystem::path& path, const torch::Tensor& image);

}  // namespace cavmae
