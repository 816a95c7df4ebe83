#include "cavmae/search/search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"
#include "cavmae/eval/nearest.h"

namespace cavmae {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// What a similarity of one pair of modalities is worth, see Note [Scores].
class ScoreScale {
 public:
  ScoreScale(const torch::Tensor& query, const torch::Tensor& sample) {
    if (sample.size(0) == 0) return;
    const torch::Tensor similarities = cosine_similarities(query, sample).to(torch::kFloat64);
    mean_ = similarities.mean().item<double>();
    deviation_ = similarities.std(/*unbiased=*/false).item<double>();
  }

  double operator()(double similarity) const {
    constexpr double kLeastDeviation = 1e-6;  // a library of one moment has none
    const double z = (similarity - mean_) / std::max(deviation_, kLeastDeviation);
    return 1.0 / (1.0 + std::exp(-(z - 3.0)));
  }

 private:
  double mean_ = 0.0, deviation_ = 0.0;
};

// One side of the query beside one side of the moments.
struct Pair {
  ClipSide query, found;
  torch::Tensor vector;  // float [D]
  ScoreScale scale;
};

std::vector<Pair> pairs_of(const LibrarySnapshot& snapshot, const ClipVectors& query, SearchFor target) {
  std::vector<Pair> pairs;
  for (const auto& [side, vector] :
       {std::pair(ClipSide::audio, query.audio), std::pair(ClipSide::video, query.video)}) {
    if (!vector.defined()) continue;
    const int64_t width = snapshot.settings().model.embed_dim;
    CAVMAE_CHECK_AS(ConfigError, vector.dim() == 1 && vector.size(0) == width, "the query is ",
                    vector.sizes(), ", and the library's vectors have ", width,
                    " numbers; it comes from another model");
    const torch::Tensor row = vector.to(torch::kCPU, torch::kFloat32).contiguous();
    for (const ClipSide found : {ClipSide::audio, ClipSide::video}) {
      const bool wanted =
          target == SearchFor::any || (target == SearchFor::audio) == (found == ClipSide::audio);
      if (wanted)
        pairs.push_back(
            {.query = side, .found = found, .vector = row, .scale = ScoreScale(row, snapshot.sample(found))});
    }
  }
  CAVMAE_CHECK_AS(ConfigError, !pairs.empty(), "the query has neither sound nor pictures to search by");
  return pairs;
}

bool is_better(const MomentHit& a, const MomentHit& b) {
  if (a.score != b.score) return a.score > b.score;
  if (a.similarity != b.similarity) return a.similarity > b.similarity;
  return a.moment.id < b.moment.id;
}

using BestMoments = std::map<int64_t, MomentHit>;  // by moment

void offer(const Pair& pair, const Moment& moment, double similarity, BestMoments& best) {
  const MomentHit hit{.moment = moment,
                      .similarity = similarity,
                      .score = pair.scale(similarity),
                      .query = pair.query,
                      .found = pair.found};
  const auto [known, is_new] = best.emplace(hit.moment.id, hit);
  if (!is_new && is_better(hit, known->second)) known->second = hit;
}

// One search over one selection.
class Search {
 public:
  Search(const MomentSelection& selection, std::vector<Pair> pairs)
      : selection_(selection), pairs_(std::move(pairs)) {}

  // The best moment of each of the best files, best first.
  std::vector<MomentHit> best_files(int64_t num_files, double min_score) const {
    const int64_t total = 1 + selection_.size();
    // So many moments are looked at, and so many times as much of an index as usually suffices: more where
    // they are of too few files.
    int64_t effort = 1;
    for (int64_t k = std::max<int64_t>(64, 8 * num_files);; k *= 8, effort *= 8) {
      BestFiles best = best_files_among(std::min(k, total), effort, min_score);
      if (k < total && best.certain > min_score && static_cast<int64_t>(best.hits.size()) < num_files)
        continue;
      if (static_cast<int64_t>(best.hits.size()) > num_files)
        best.hits.resize(static_cast<size_t>(num_files));
      return best.hits;
    }
  }

  // Every moment of these files with its score, by file, best first.
  std::map<int64_t, std::vector<MomentHit>> moments_of(const std::vector<MomentHit>& files) const {
    std::vector<int64_t> ids;
    for (const MomentHit& hit : files) ids.push_back(hit.moment.file);
    BestMoments best;
    const torch::Tensor wanted = torch::tensor(ids, torch::kInt64);
    for (const Pair& pair : pairs_)
      for (const NearMoment& at : selection_.compare(pair.vector, pair.found, wanted))
        offer(pair, at.moment, at.similarity, best);
    std::map<int64_t, std::vector<MomentHit>> out;
    for (const auto& [id, hit] : best) out[hit.moment.file].push_back(hit);
    for (auto& [file, hits] : out) std::ranges::sort(hits, is_better);
    return out;
  }

 private:
  struct BestFiles {
    std::vector<MomentHit> hits;  // one a file, best first
    double certain = -kInfinity;  // every moment that scores better was looked at
  };

  BestFiles best_files_among(int64_t k, int64_t effort, double min_score) const {
    BestMoments best;
    BestFiles out;
    for (const Pair& pair : pairs_) {
      const NearMoments near =
          selection_.nearest(pair.vector, {.query = pair.query, .found = pair.found}, k, effort);
      for (const NearMoment& at : near.found) offer(pair, at.moment, at.similarity, best);
      if (std::isfinite(near.complete_above))
        out.certain = std::max(out.certain, pair.scale(near.complete_above));
      else
        out.certain = std::max(out.certain, near.complete_above);
    }
    for (const auto& [id, hit] : best)
      if (hit.score >= out.certain && hit.score >= min_score) out.hits.push_back(hit);
    std::ranges::sort(out.hits, is_better);
    std::set<int64_t> files;
    std::erase_if(out.hits, [&](const MomentHit& hit) { return !files.insert(hit.moment.file).second; });
    return out;
  }

  const MomentSelection& selection_;
  std::vector<Pair> pairs_;
};

bool overlap(const Moment& a, const Moment& b) {
  return a.start_ms < b.end_ms && b.start_ms < a.end_ms;
}

// Of those that overlap only the best, up to `most`.
std::vector<MomentHit> without_overlaps(const std::vector<MomentHit>& sorted, int64_t most,
                                        double min_score) {
  std::vector<MomentHit> out;
  for (const MomentHit& hit : sorted) {
    if (static_cast<int64_t>(out.size()) == most || hit.score < min_score) break;
    if (std::ranges::none_of(out, [&](const MomentHit& other) { return overlap(hit.moment, other.moment); }))
      out.push_back(hit);
  }
  return out;
}

}  // namespace

void SearchOptions::validate() const {
  Problems problems;
  problems.require(top >= 1, "top is ", top, "; it must be at least 1");
  problems.require(moments_per_file >= 1, "moments_per_file is ", moments_per_file,
                   "; it must be at least 1");
  problems.require(!min_score || (*min_score >= 0 && *min_score <= 1), "min_score is ", min_score.value_or(0),
                   "; scores lie between 0 and 1");
  problems.throw_if_any("the search cannot be made");
}

Json to_json(const MomentHit& hit) {
  return {{"moment", hit.moment.id},
          {"start_seconds", to_seconds(hit.moment.start_ms)},
          {"end_seconds", to_seconds(hit.moment.end_ms)},
          {"similarity", hit.similarity},
          {"score", hit.score},
          {"query", side_name(hit.query)},
          {"found", side_name(hit.found)}};
}

std::vector<FileHit> search(LibraryReader& library, const ClipVectors& query, const SearchOptions& options) {
  options.validate();
  const torch::NoGradGuard no_grad;
  const auto selection = library.select({.under = options.under, .exact = options.exact});
  const double min_score = options.min_score.value_or(0.0);
  const Search search(*selection, pairs_of(selection->snapshot(), query, options.target));
  const std::vector<MomentHit> best = search.best_files(options.top, min_score);
  if (best.empty()) return {};
  auto moments = search.moments_of(best);
  std::vector<FileHit> out;
  for (const MomentHit& hit : best) {
    // One that was removed since the selection was made has no name any more.
    const auto file = library.file(hit.moment.file);
    if (!file) continue;
    FileHit found{.file = *file,
                  .moments = without_overlaps(moments[hit.moment.file], options.moments_per_file, min_score)};
    if (!found.moments.empty()) out.push_back(std::move(found));
  }
  // What an index of the library says is similar was compared again by the vectors themselves.
  std::ranges::stable_sort(out, [](const FileHit& a, const FileHit& b) {
    return is_better(a.moments.front(), b.moments.front());
  });
  return out;
}

}  // namespace cavmae
