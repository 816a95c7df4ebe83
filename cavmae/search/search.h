// Finding moments of a library that are like a sound or a picture. Free functions; safe from several threads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cavmae/eval/model.h"
#include "cavmae/search/library_reader.h"

namespace cavmae {

// What is looked for: moments whose sound is like the query, whose pictures are, or either.
enum class SearchFor { audio, video, any };
inline std::vector<std::pair<SearchFor, std::string>> option_names(SearchFor) {
  return {{SearchFor::audio, "audio"}, {SearchFor::video, "video"}, {SearchFor::any, "any"}};
}

struct SearchOptions {
  SearchFor target = SearchFor::any;
  int64_t top = 20;                                // files
  std::optional<double> min_score = std::nullopt;  // of MomentHit::score
  std::string under = {};                          // files at or below this path; empty: all
  bool exact = false;                              // compare every vector, also where there are lists
  int64_t moments_per_file = 3;                    // listed of each, the best among them

  // One ConfigError listing every bad field.
  void validate() const;
};

// Note [Scores]: cosine similarities of different pairs of modalities lie in different ranges, and how high
// one is says little by itself. z is how many standard deviations a similarity lies above the mean of the
// query's similarities to LibrarySnapshot::sample() of that side; score = 1 / (1 + exp(-(z - 3))), so that
// 0.5 is three deviations above chance. Within one pair of modalities both give one order.
struct MomentHit {
  Moment moment;
  double similarity = 0.0;  // cosine
  double score = 0.0;       // 0 to 1
  ClipSide query = ClipSide::audio,
           found = ClipSide::audio;  // which side of the query is like which of the moment
};

struct FileHit {
  LibraryFile file;
  // Best first; of those that overlap in time only the best.
  std::vector<MomentHit> moments;
};

Json to_json(const MomentHit& hit);

// The files whose best moments are most like the query, best first. A query with both sides is compared by
// each, and the better counts. Exact where the library's index is flat. Throws ConfigError for a query
// without vectors and for one of another length than the library's.
std::vector<FileHit> search(LibraryReader& library, const ClipVectors& query,
                            const SearchOptions& options = {});

}  // namespace cavmae
