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
    const torch::Tensor similarities =
        torch::cosine_similarity(sample, query.unsqueeze(0), /*dim=*/1).to(torch::kFloat64);
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

std::vector<Pair> pairs_of(const Snapshot& snapshot, const ClipVectors& query, SearchFor target) {
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

// The rows that may be found: alive, and of the files (int64 [n], undefined: all). Undefined: all rows.
torch::Tensor selected_rows(const Snapshot::Part& part, const torch::Tensor& files) {
  if (!files.defined()) return part.alive;
  const torch::Tensor of_files = torch::isin(part.rows.file, files);
  return part.alive.defined() ? of_files.logical_and(part.alive) : of_files;
}

Moment moment_at(const MomentRows& rows, int64_t row) {
  const auto number = [row](const torch::Tensor& column) { return column.data_ptr<int64_t>()[row]; };
  return {.id = number(rows.moment),
          .file = number(rows.file),
          .start_ms = number(rows.start_ms),
          .end_ms = number(rows.end_ms)};
}

bool is_better(const MomentHit& a, const MomentHit& b) {
  if (a.score != b.score) return a.score > b.score;
  if (a.similarity != b.similarity) return a.similarity > b.similarity;
  return a.moment.id < b.moment.id;
}

// One search over one snapshot.
class Search {
 public:
  Search(const Snapshot& snapshot, std::vector<Pair> pairs, const torch::Tensor& files, bool exact)
      : snapshot_(snapshot), pairs_(std::move(pairs)), exact_(exact) {
    for (const Snapshot::Part& part : snapshot.parts()) selected_.push_back(selected_rows(part, files));
  }

  // The best moment of each of the best files, best first.
  std::vector<MomentHit> best_files(int64_t num_files, double min_score) const {
    int64_t total = 1;
    for (const Snapshot::Part& part : snapshot_.parts()) total += part.rows.size();
    // So many rows of each part are looked at, and so many times the lists that queries look into: more where
    // they are of too few files.
    int64_t probe = 1;
    for (int64_t k = std::max<int64_t>(64, 8 * num_files);; k *= 8, probe *= 8) {
      BestFiles best = best_files_among(std::min(k, total), probe, min_score);
      if (k < total && best.certain > min_score && static_cast<int64_t>(best.hits.size()) < num_files)
        continue;
      if (static_cast<int64_t>(best.hits.size()) > num_files)
        best.hits.resize(static_cast<size_t>(num_files));
      return best.hits;
    }
  }

  // Every moment of these files with its score, by file.
  std::map<int64_t, std::vector<MomentHit>> moments_of(const std::vector<MomentHit>& files) const {
    std::vector<int64_t> ids;
    for (const MomentHit& hit : files) ids.push_back(hit.moment.file);
    const torch::Tensor wanted = torch::tensor(ids, torch::kInt64);
    std::map<int64_t, MomentHit> best;  // by moment
    for (const Snapshot::Part& part : snapshot_.parts()) {
      torch::Tensor rows = torch::isin(part.rows.file, wanted);
      if (part.alive.defined()) rows = rows.logical_and(part.alive);
      const torch::Tensor positions = rows.nonzero().flatten();
      if (positions.size(0) == 0) continue;
      const MomentRows some = select_rows(part.rows, positions);
      for (const Pair& pair : pairs_)
        offer(pair, some, nearest(pair.vector, vectors_of(some, pair.found), some.size()), best);
    }
    std::map<int64_t, std::vector<MomentHit>> out;
    for (const auto& [id, hit] : best) out[hit.moment.file].push_back(hit);
    for (auto& [file, hits] : out) std::ranges::sort(hits, is_better);
    return out;
  }

 private:
  static void offer(const Pair& pair, const MomentRows& rows, const Neighbors& found,
                    std::map<int64_t, MomentHit>& best) {
    const int64_t* indices = found.indices.data_ptr<int64_t>();
    const float* similarities = found.scores.data_ptr<float>();
    for (int64_t i = 0; i < found.indices.numel() && indices[i] >= 0; ++i) {
      const MomentHit hit{.moment = moment_at(rows, indices[i]),
                          .similarity = similarities[i],
                          .score = pair.scale(similarities[i]),
                          .query = pair.query,
                          .found = pair.found};
      const auto [known, is_new] = best.emplace(hit.moment.id, hit);
      if (!is_new && is_better(hit, known->second)) known->second = hit;
    }
  }

  struct BestFiles {
    std::vector<MomentHit> hits;  // one a file, best first
    double certain = -kInfinity;  // every moment that scores better was looked at
  };

  // The k nearest rows of a part; where it has lists, of those in `probe` times as many lists as suffice.
  // `is_all`: whether no row was left out.
  Neighbors nearest_rows(size_t p, const Pair& pair, int64_t k, int64_t probe, bool& is_all) const {
    const Snapshot::Part& part = snapshot_.parts()[p];
    const torch::Tensor& vectors = vectors_of(part.rows, pair.found);
    const ListModel& model = snapshot_.list_models().of(pair.found);
    const bool has_lists = !exact_ && part.lists && part.lists->of(pair.found).offsets.defined();
    const int64_t num_lists = has_lists ? std::min(model.num_lists(), probe * model.probe()) : 0;
    if (!has_lists || num_lists == model.num_lists()) {
      const Neighbors found = nearest(pair.vector, vectors, k, selected_[p]);
      is_all = found.indices.numel() == part.rows.size();
      return found;
    }
    constexpr int64_t kComparedByVectors = 16;  // times k, of what codes say is best
    const torch::Tensor rows = candidates(part.lists->of(pair.found), model,
                                          {.query = pair.vector,
                                           .probe = num_lists,
                                           .most = std::max<int64_t>(1000, kComparedByVectors * k),
                                           .selected = selected_[p]});
    Neighbors found = nearest(pair.vector, vectors.index_select(0, rows), k);
    found.indices = torch::where(
        found.indices >= 0, rows.index_select(0, found.indices.flatten().clamp_min(0)).view_as(found.indices),
        found.indices);
    is_all = false;
    return found;
  }

  // Among the k nearest of each part and pair. A moment that is not among them scores no better than the
  // worst of these, so that only what is better is certain.
  BestFiles best_files_among(int64_t k, int64_t probe, double min_score) const {
    std::map<int64_t, MomentHit> best;
    BestFiles out;
    for (size_t p = 0; p < snapshot_.parts().size(); ++p) {
      const Snapshot::Part& part = snapshot_.parts()[p];
      for (const Pair& pair : pairs_) {
        bool is_all = false;
        const Neighbors found = nearest_rows(p, pair, k, probe, is_all);
        offer(pair, part.rows, found, best);
        const int64_t n = found.indices.numel();
        if (is_all || (n > 0 && found.indices.data_ptr<int64_t>()[n - 1] < 0)) continue;
        out.certain =
            std::max(out.certain, n > 0 ? pair.scale(found.scores.data_ptr<float>()[n - 1]) : kInfinity);
      }
    }
    for (const auto& [id, hit] : best)
      if (hit.score >= out.certain && hit.score >= min_score) out.hits.push_back(hit);
    std::ranges::sort(out.hits, is_better);
    std::set<int64_t> files;
    std::erase_if(out.hits, [&](const MomentHit& hit) { return !files.insert(hit.moment.file).second; });
    return out;
  }

  const Snapshot& snapshot_;
  std::vector<Pair> pairs_;
  bool exact_;
  std::vector<torch::Tensor> selected_;  // by part
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
  const std::shared_ptr<const Snapshot> snapshot = library.snapshot();
  const torch::Tensor files = options.under.empty() ? torch::Tensor() : library.files_under(options.under);
  const double min_score = options.min_score.value_or(0.0);
  const Search search(*snapshot, pairs_of(*snapshot, query, options.target), files, options.exact);
  const std::vector<MomentHit> best = search.best_files(options.top, min_score);
  const auto moments = search.moments_of(best);
  std::vector<FileHit> out;
  for (const MomentHit& hit : best) {
    // One that was removed since the snapshot was made has no name any more.
    const auto file = library.file(hit.moment.file);
    if (!file) continue;
    out.push_back(
        {.file = *file,
         .moments = without_overlaps(moments.at(hit.moment.file), options.moments_per_file, min_score)});
  }
  return out;
}

}  // namespace cavmae
