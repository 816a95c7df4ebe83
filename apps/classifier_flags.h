// What the commands share that use a classifier: classify and evaluate.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "cavmae/eval/classify.h"
#include "cavmae/models/classifier_checkpoint.h"

#include "apps/evaluation.h"

namespace cavmae::apps {

struct ClassifierFlags {
  std::filesystem::path labels;
  std::string mode, representation, scores;  // empty: what the checkpoint says
  std::optional<int64_t> num_heads;

  // Registers --labels, and what an imported .pth does not tell: --mode, --representation, --scores,
  // --num-heads.
  void add(CLI::App& app);
  LoadedClassifier load(const EvaluationFlags& evaluation, Log& log) const;
};

// What a classifier was fed in its training, but for what the flags say; an imported one is fed as the
// paper's, in its sizes.
InputSpec features_of(const LoadedClassifier& loaded, const EvaluationFlags& evaluation);

}  // namespace cavmae::apps
