// What an index of a library finds of what comparing every vector finds. A free function; safe from several
// threads.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "cavmae/search/library_reader.h"

namespace cavmae {

// Of queries of one side among the moments' vectors of one side: the share of the ten nearest moments that
// the library's index finds (recall at 10). A moment as far as the tenth counts as one of them.
struct IndexRecall {
  ClipSide query = ClipSide::audio, found = ClipSide::audio;
  double at_10 = 1.0;
};

// Each pair of sides that the library has. Queries are the vectors of up to `num_queries` of its moments
// (those of LibrarySnapshot::sample()). Empty where every vector is compared, so that nothing can be missed,
// and where `goes_on`, which is asked after each query with how many there were, says no.
std::vector<IndexRecall> measure_recall(LibraryReader& library, int64_t num_queries,
                                        const std::function<bool(int64_t done, int64_t total)>& goes_on);

}  // namespace cavmae
