#include "cavmae/metrics/classification.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <numbers>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/core/parallel.h"

namespace cavmae {
namespace {

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kTop = 5;

struct ScoredClip {
  double score;
  bool positive;
};

// One class by itself; sorts `clips`.
ClassMetrics measure_class(std::vector<ScoredClip>& clips) {
  std::ranges::sort(clips, [](const ScoredClip& a, const ScoredClip& b) { return a.score > b.score; });
  const auto positives = std::ranges::count_if(clips, [](const ScoredClip& c) { return c.positive; });
  const auto negatives = static_cast<int64_t>(clips.size()) - positives;
  ClassMetrics out{.average_precision = kUndefined, .auc = kUndefined, .positives = positives};
  if (positives == 0) return out;
  // Going down the thresholds. AP = sum of (recall_n - recall_n-1) * precision_n; AUC = the share of pairs of
  // a positive and a negative that are in order, a tie counting one half.
  double precisions = 0, pairs_in_order = 0;
  int64_t hits = 0, seen = 0;
  for (size_t begin = 0; begin < clips.size();) {
    size_t end = begin;
    int64_t hits_here = 0;
    for (; end < clips.size() && clips[end].score == clips[begin].score; ++end)
      hits_here += clips[end].positive;
    const auto level = static_cast<int64_t>(end - begin);
    hits += hits_here;
    seen += level;
    precisions += static_cast<double>(hits_here) * static_cast<double>(hits) / static_cast<double>(seen);
    const double misses_here = static_cast<double>(level - hits_here);
    const double misses_below = static_cast<double>(negatives - (seen - hits));
    pairs_in_order += static_cast<double>(hits_here) * (misses_below + 0.5 * misses_here);
    begin = end;
  }
  out.average_precision = precisions / static_cast<double>(positives);
  if (negatives > 0)
    out.auc = pairs_in_order / (static_cast<double>(positives) * static_cast<double>(negatives));
  return out;
}

void check_inputs(const torch::Tensor& scores, const torch::Tensor& targets) {
  CAVMAE_CHECK(scores.dim() == 2 && scores.sizes() == targets.sizes(), "scores ", scores.sizes(),
               " and targets ", targets.sizes(), " must both be [clips, classes]");
  CAVMAE_CHECK(scores.size(0) > 0 && scores.size(1) > 0,
               "classification needs at least one clip and one class");
  const auto bad = scores.isfinite().logical_not().nonzero();
  CAVMAE_CHECK(bad.size(0) == 0, "the score of clip ", bad.size(0) > 0 ? bad[0][0].item<int64_t>() : 0,
               " for class ", bad.size(0) > 0 ? bad[0][1].item<int64_t>() : 0,
               " is not finite, so it cannot be ranked; check the checkpoint that it was made with");
  CAVMAE_CHECK(at::logical_or(targets.eq(0), targets.eq(1)).all().item<bool>(),
               "the targets to measure against must be 0 or 1, without smoothing or mixing");
}

// Accuracy and confusions. scores: double [N, C]; positive: bool [N, C]; both contiguous.
void measure_clips(const torch::Tensor& scores, const torch::Tensor& positive, ClassificationResult& out) {
  const int64_t num_classes = scores.size(1);
  std::map<std::pair<int64_t, int64_t>, int64_t> confused;
  std::vector<int64_t> clips_of(num_classes, 0);
  int64_t labelled = 0, first = 0, among_best = 0;
  for (int64_t i = 0; i < scores.size(0); ++i) {
    const double* row = scores.data_ptr<double>() + i * num_classes;
    const bool* is = positive.data_ptr<bool>() + i * num_classes;
    const int64_t label = std::find(is, is + num_classes, true) - is;
    if (label == num_classes) continue;
    // Classes that stand above the label's.
    int64_t above = 0;
    for (int64_t c = 0; c < num_classes; ++c)
      above += row[c] > row[label] || (row[c] == row[label] && c < label);
    ++labelled;
    ++clips_of[label];
    first += above == 0;
    among_best += above < kTop;
    if (above > 0) ++confused[{label, std::max_element(row, row + num_classes) - row}];
  }
  const auto share = [labelled](int64_t clips) {
    return labelled > 0 ? static_cast<double>(clips) / static_cast<double>(labelled) : kUndefined;
  };
  out.values.set("top1", share(first));
  out.values.set("top5", share(among_best));
  for (const auto& [pair, clips] : confused)
    out.confusions.push_back(
        {.label = pair.first,
         .predicted = pair.second,
         .clips = clips,
         .share = static_cast<double>(clips) / static_cast<double>(clips_of[pair.first])});
  std::ranges::stable_sort(out.confusions, std::greater<>{}, &ConfusionPair::clips);
}

double mean_of(const std::vector<ClassMetrics>& classes, double ClassMetrics::*figure) {
  double sum = 0;
  int64_t count = 0;
  for (const ClassMetrics& one : classes) {
    if (std::isnan(one.*figure)) continue;
    sum += one.*figure;
    ++count;
  }
  return count > 0 ? sum / static_cast<double>(count) : kUndefined;
}

Json names_of(const std::vector<int64_t>& classes, const std::vector<std::string>& names) {
  Json out = Json::array();
  for (const int64_t c : classes) out.push_back(names.at(c));
  return out;
}

}  // namespace

double d_prime(double auc) {
  return std::numbers::sqrt2 * at::special_ndtri(torch::tensor(auc, torch::kFloat64)).item<double>();
}

ClassificationResult evaluate_classification(const torch::Tensor& scores, const torch::Tensor& targets) {
  torch::NoGradGuard no_grad;
  const torch::Tensor s = scores.to(torch::kCPU, torch::kFloat64).contiguous();
  const torch::Tensor t = targets.to(torch::kCPU);
  check_inputs(s, t);
  const torch::Tensor positive = t.ne(0).contiguous();
  const int64_t n = s.size(0), num_classes = s.size(1);
  ClassificationResult out;
  out.clips = n;
  out.classes.resize(num_classes);
  at::parallel_for(0, num_classes, 1, [&](int64_t begin, int64_t end) {
    std::vector<ScoredClip> clips(n);
    for (int64_t c = begin; c < end; ++c) {
      for (int64_t i = 0; i < n; ++i)
        clips[i] = {s.data_ptr<double>()[i * num_classes + c],
                    positive.data_ptr<bool>()[i * num_classes + c]};
      out.classes[c] = measure_class(clips);
    }
  });
  for (int64_t c = 0; c < num_classes; ++c) {
    if (out.classes[c].positives == 0) out.without_positive.push_back(c);
    if (out.classes[c].positives == n) out.without_negative.push_back(c);
  }
  const double mauc = mean_of(out.classes, &ClassMetrics::auc);
  out.values = {{"map", mean_of(out.classes, &ClassMetrics::average_precision)},
                {"mauc", mauc},
                {"d_prime", d_prime(mauc)}};
  measure_clips(s, positive, out);
  return out;
}

Json to_json(const ClassificationResult& result, const std::vector<std::string>& names,
             size_t num_confusions) {
  CAVMAE_CHECK(names.size() == result.classes.size(), names.size(), " names for ", result.classes.size(),
               " classes");
  Json classes = Json::array(), confusions = Json::array();
  for (size_t c = 0; c < names.size(); ++c)
    classes.push_back({{"label", names[c]},
                       {"average_precision", result.classes[c].average_precision},
                       {"auc", result.classes[c].auc},
                       {"positives", result.classes[c].positives}});
  for (size_t i = 0; i < std::min(num_confusions, result.confusions.size()); ++i) {
    const ConfusionPair& pair = result.confusions[i];
    confusions.push_back({{"label", names[pair.label]},
                          {"predicted", names[pair.predicted]},
                          {"clips", pair.clips},
                          {"share", pair.share}});
  }
  Json out = to_json(result.values);
  out.update({{"clips", result.clips},
              {"without_positive", names_of(result.without_positive, names)},
              {"without_negative", names_of(result.without_negative, names)},
              {"classes", classes},
              {"confusions", confusions}});
  return out;
}

}  // namespace cavmae
