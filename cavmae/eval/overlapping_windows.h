// Which windows of one file show the same moment, so that neither is a wrong answer to the other. A free
// function; safe from any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "cavmae/data/clip_source.h"
#include "cavmae/metrics/retrieval.h"

namespace cavmae {

// Of each of the clips at `indices` (the rows of their embeddings), the rows of others that share its sound's
// or its video's file and overlap it. A clip that is pinned to no start overlaps none.
LeftOutAnswers overlapping_windows(const ClipList& clips, const std::vector<int64_t>& indices,
                                   double window_seconds);

}  // namespace cavmae
