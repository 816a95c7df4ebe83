// What has to be known of a source before its window can be chosen, and how a cache keeps it. Plain values.
#pragma once

#include <optional>

#include "cavmae/core/torch.h"
#include "cavmae/media/media_times.h"

namespace cavmae {

struct FileFacts {
  bool has_audio = false, has_video = false, is_picture = false;
  MediaTimes times = {};  // nothing of a picture
};

// float64 [1, n]
torch::Tensor facts_to_record(const FileFacts& facts);
// record: float64 [n]. Nothing when it is no such record.
std::optional<FileFacts> facts_from_record(const torch::Tensor& record);

}  // namespace cavmae
