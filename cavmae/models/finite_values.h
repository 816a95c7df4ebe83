// Whether a network's parameters are numbers. A free function.
#pragma once

#include <optional>
#include <string>

#include "cavmae/core/torch.h"

namespace cavmae {

// The name of the first parameter of `network` that holds NaN or infinity; nothing where all are finite.
// Works with LibTorch's threads. What lies in a mapped file is read from it (place_in_file()); throws
// CheckpointError where that fails.
std::optional<std::string> first_not_finite(const torch::nn::Module& network);

}  // namespace cavmae
