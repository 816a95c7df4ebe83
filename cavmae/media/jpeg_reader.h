// JPEG pictures by libjpeg-turbo, level for level what Pillow reads, without opening them as media files.
// Private to this folder; the only user of libjpeg; safe from several threads.
#pragma once

#include <filesystem>
#include <optional>

#include "cavmae/core/torch.h"

namespace cavmae {

// The picture as uint8 [H, W, 3]. Nothing when the file is not an ordinary, whole JPEG in YCbCr or grey: such
// a file is FFmpeg's, which knows more kinds and has something to say of damaged ones. Metadata that asks for
// a turn is passed over, as Pillow does.
std::optional<torch::Tensor> read_jpeg(const std::filesystem::path& path);

}  // namespace cavmae
