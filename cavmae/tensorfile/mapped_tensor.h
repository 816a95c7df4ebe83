// Tensors whose memory is a file's. Free functions, safe from several threads.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "cavmae/core/file_stream.h"
#include "cavmae/core/torch.h"

namespace cavmae {

// Note [Values in a file]. Who touches a mapped page for the first time waits for the kernel to put it into
// the process's tables, which on some virtual machines takes several microseconds for 4 KB, and the page
// counts as the process's memory from then on. read() of the same bytes into a buffer that a cache holds
// takes a tenth of that. So what needs each value of a large tensor once, as a job for a few clips does,
// reads it from the file.

// A tensor of `sizes` and `type` at `position` of the file that `memory` maps (FileReader::map()). What is
// written to it stays in this process. With `file`, which may be null, its values can be read as well.
torch::Tensor mapped_tensor(std::shared_ptr<char> memory, uint64_t position,
                            const std::vector<int64_t>& sizes, torch::ScalarType type,
                            std::shared_ptr<const FileReader> file);

// Where the values of a contiguous tensor stand in a file: nothing unless mapped_tensor() made its memory,
// with a file, and no operator has written to the tensor since.
std::optional<PlaceInFile> place_in_file(const torch::Tensor& tensor);

}  // namespace cavmae
