// The names of what a training step does besides the network, as ProfileRanges open them.
#pragma once

namespace cavmae::ranges {

inline constexpr const char* kLoss = "loss";
inline constexpr const char* kBackward = "backward";  // what autograd does between nodes
inline constexpr const char* kOptimizer = "optimizer";

}  // namespace cavmae::ranges
