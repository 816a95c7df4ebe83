// What a search looks at: a library as it was at one time. Interfaces, which each kind of library implements;
// immutable, safe from several threads.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cavmae/core/torch.h"
#include "cavmae/data/clip.h"
#include "cavmae/search/library_file.h"
#include "cavmae/search/library_settings.h"

namespace cavmae {

class LibrarySnapshot {
 public:
  virtual ~LibrarySnapshot() = default;

  const LibrarySettings& settings() const { return settings_; }
  const LibraryCounts& counts() const { return counts_; }

  // Vectors of up to kSampleSize moments, float [n, D], n of those that have this side: the ones whose ids
  // have the smallest hashes (sample_hash()), so that a library that grows keeps most of them.
  virtual const torch::Tensor& sample(ClipSide side) const = 0;
  // How vectors are stored, for people: names and values ("vectors", "768 numbers each, float32, ...").
  virtual std::vector<std::pair<std::string, std::string>> facts() const = 0;

 protected:
  LibrarySettings settings_;
  LibraryCounts counts_;
};

constexpr int64_t kSampleSize = 10000;

// Finalizer of SplitMix64 (Steele, Lea and Flood, 2014): every bit of the result depends on every one of x.
inline uint64_t sample_hash(int64_t moment) {
  uint64_t x = static_cast<uint64_t>(moment) + 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

struct NearMoment {
  Moment moment;
  double similarity = 0.0;  // cosine
};

struct NearMoments {
  std::vector<NearMoment> found;
  // Every moment that is more similar than this is among them, as far as the library's index can tell.
  // Minus infinity: nothing was left out; infinity: nothing is certain.
  double complete_above = -std::numeric_limits<double>::infinity();
};

// What one search is limited to.
struct SearchScope {
  std::string under = {};  // files at or below this path; empty: all
  bool exact = false;      // compare every vector, also where there is an index
};

// What is compared: a side of the query with a side of the moments.
struct ComparedSides {
  ClipSide query = ClipSide::audio, found = ClipSide::audio;
};

// The moments that one search may find.
class MomentSelection {
 public:
  virtual ~MomentSelection() = default;

  virtual const LibrarySnapshot& snapshot() const = 0;
  // So many there are of all; those of one pair of modalities may be fewer.
  virtual int64_t size() const = 0;
  // Whether a search looks at every vector, so that it can miss none.
  virtual bool compares_all() const = 0;
  // At least the k nearest of a side to query, float [D], where there are so many, in no order. `effort`: how
  // many times as much of an index is looked at as usually suffices.
  virtual NearMoments nearest(const torch::Tensor& query, const ComparedSides& sides, int64_t k,
                              int64_t effort) const = 0;
  // Every moment of these files that has this side, compared with query, float [D]; in no order. files: int64
  // [n], ids
  virtual std::vector<NearMoment> compare(const torch::Tensor& query, ClipSide side,
                                          const torch::Tensor& files) const = 0;
};

}  // namespace cavmae
