// A checkpoint's numbers on a data set: what it was trained for, measured again. Free functions; the
// checkpoint is read, not changed.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/data/labels.h"
#include "cavmae/eval/classify.h"
#include "cavmae/metrics/modality_confusion.h"
#include "cavmae/train/pretrain_options.h"
#include "cavmae/train/task.h"

namespace cavmae {

// What a classifier makes of clips whose labels are known.
struct ClassifierEvaluation {
  ClassificationResult result;
  ClipScores scores;
  LabelSet labels;
  std::optional<ModalityConfusion> confusion = std::nullopt;  // where it was asked for
};

// Whether clips are scored by each modality alone besides, which takes as long again.
enum class EachAlone { no, yes };

// Every clip must have a label, and every label be a class: DataError otherwise. Classes without a clip are
// left out of the means.
ClassifierEvaluation evaluate_classifier(Classifier classifier, const InputSpec& spec, const ClipList& clips,
                                         const LabelSet& labels, const PassOptions& options,
                                         std::shared_ptr<Log> log, EachAlone each_alone = EachAlone::no);

struct PretrainedEvaluationOptions {
  PretrainOptions
      trained;       // objective, masks and seed: with the run's own, its validation's numbers come out again
  PassOptions pass;  // the contrastive loss is that of its batches; need, title and device are set here
};

struct PretrainedEvaluation {
  ValidationResult result;
  std::vector<BadClip> failed;
};

// Losses and contrastive accuracy under the validation's masks, and retrieval where the network has both
// modalities. Nothing when a stop signal arrived meanwhile.
std::optional<PretrainedEvaluation> evaluate_pretrained(CavMae model, const InputSpec& spec,
                                                        const ClipList& clips,
                                                        const PretrainedEvaluationOptions& options,
                                                        std::shared_ptr<Log> log);

}  // namespace cavmae
