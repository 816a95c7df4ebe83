// Fine-tuning as the trainer sees it: a classifier joined to its loss (Gong et al., ICLR 2023, section 4.1).
// With a frozen encoder it is a linear probe. One owner.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "cavmae/data/labels.h"
#include "cavmae/losses/classification.h"
#include "cavmae/models/classifier.h"
#include "cavmae/train/finetune_options.h"
#include "cavmae/train/task.h"

namespace cavmae {

enum class EncoderUse {
  train,
  freeze,
  freeze_and_keep,  // freeze, and keep each clip's pooled output: for inputs that nothing random changes
};
EncoderUse encoder_use(const FinetuneOptions& options);

struct FineTuningSetup {
  Classifier classifier{nullptr};
  LabelSet labels = {};
  ClassificationLoss loss = ClassificationLoss::bce;
  double head_lr_scale = 1.0;
  EncoderUse encoder = EncoderUse::train;
  ClipClasses val_classes = {};  // of the clips that are validated with
};

class FineTuningTask : public Task {
 public:
  explicit FineTuningTask(FineTuningSetup setup);

  CavMae& model() override { return network_; }
  std::vector<ParameterGroup> parameter_groups() override;
  // Classifies batch.targets; the generator is not used.
  StepResult training_forward(const Batch& batch, torch::Generator generator) override;
  std::optional<ValidationResult> validate(ClipPass& clips, const ValidationOptions& options) override;
  void save(const std::filesystem::path& path, const InputSpec& spec) override;

  Classifier& classifier() { return setup_.classifier; }

 private:
  torch::Tensor pooled(const Batch& batch);

  FineTuningSetup setup_;
  CavMae network_;
  std::unordered_map<int64_t, torch::Tensor> kept_;  // by the clip's place in the list: float [D]
};

// The task of a run: an initialised classifier of the labels in the precision and on the device that were
// asked for. `val_classes`: of the clips that are validated with.
std::shared_ptr<FineTuningTask> make_fine_tuning_task(const FinetuneOptions& options, const LabelSet& labels,
                                                      const ClipClasses& val_classes);

// What a classifier is given of a batch.
Inputs inputs_of(const Batch& batch, Modalities mode);

}  // namespace cavmae
