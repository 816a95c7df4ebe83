// How well scores name classes: average precision, AUC, d', accuracy, and which classes are taken for which.
// Free functions; safe from several threads.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cavmae/core/json.h"
#include "cavmae/core/torch.h"
#include "cavmae/metrics/metric_values.h"

namespace cavmae {

// NaN where it is not defined: both without a positive, the AUC also where every clip is one.
struct ClassMetrics {
  double average_precision = 0;
  double auc = 0;
  int64_t positives = 0;
};

// Clips of class `label` whose best score is that of `predicted`.
struct ConfusionPair {
  int64_t label = 0, predicted = 0;
  int64_t clips = 0;
  double share = 0;  // of the clips of `label`
};

struct ClassificationResult {
  // "map" over the classes with a positive, "mauc" over those with a positive and a negative, "d_prime" of
  // it, "top1" and "top5", shares of the clips that have a label; NaN where it is of nothing.
  MetricValues values;
  std::vector<ClassMetrics> classes;                        // [C]
  std::vector<ConfusionPair> confusions;                    // most clips first
  std::vector<int64_t> without_positive, without_negative;  // classes, ascending
  int64_t clips = 0;
};

// scores: float [N, C], logits or probabilities. targets: [N, C] of 0 and 1. Average precision and AUC are
// scikit-learn's average_precision_score and roc_auc_score, equal scores being one threshold. As in the
// authors' code a clip's label is the first of its classes (accuracy, confusions), and the best of equal
// scores is that of the lower class. Throws Error for a score that is not finite.
ClassificationResult evaluate_classification(const torch::Tensor& scores, const torch::Tensor& targets);

// sqrt(2) * the inverse of the standard normal distribution at `auc`.
double d_prime(double auc);

// `names` [C]; at most `num_confusions` pairs. Classes that enter no mean are named.
Json to_json(const ClassificationResult& result, const std::vector<std::string>& names,
             size_t num_confusions = 20);

}  // namespace cavmae
