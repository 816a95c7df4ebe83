// How often each clip is drawn where classes are to be balanced. Free functions; safe from any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "cavmae/data/labels.h"

namespace cavmae {

// A clip's weight is the sum over its classes of 1000 / (n + 0.01), n being the clips of the class: the
// authors' figures.
std::vector<double> balancing_weights(const ClipClasses& classes, int64_t num_classes);

// The authors' weight file: one number a line, in the order of the clips.
void write_sample_weights(const std::filesystem::path& path, const std::vector<double>& weights);
// Throws DataError naming the line of what is no number of at least 0, or both counts when they differ.
std::vector<double> read_sample_weights(const std::filesystem::path& path, int64_t num_clips);

}  // namespace cavmae
