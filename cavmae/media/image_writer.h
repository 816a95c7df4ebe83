// Writing pictures, to memory or to a file. Free functions; safe from several threads.
#pragma once

#include <filesystem>
#include <string>

#include "cavmae/picture/picture.h"

namespace cavmae {

// The bytes of a PNG file.
std::string encode_png(const Picture& picture);

// The bytes of a JPEG file. quality: 1 (worst) to 100
std::string encode_jpeg(const Picture& picture, int quality = 85);

// Writes a PNG beside the target and renames it.
void write_png(const std::filesystem::path& path, const Picture& picture);

}  // namespace cavmae
