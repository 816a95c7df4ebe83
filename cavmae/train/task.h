// What a run learns: a network joined to its losses, as the trainer sees it. Pretraining and fine-tuning
// implement it. One owner.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "cavmae/data/loader.h"
#include "cavmae/eval/clip_passes.h"
#include "cavmae/features/input_spec.h"
#include "cavmae/metrics/classification.h"
#include "cavmae/metrics/retrieval.h"
#include "cavmae/models/cav_mae.h"
#include "cavmae/tensorfile/safetensors.h"
#include "cavmae/train/optimizer/adam.h"
#include "cavmae/train/step_result.h"

namespace cavmae {

struct ValidationResult {
  StepMeans losses;                                    // means over the clips
  std::optional<RetrievalResult> retrieval;            // of pretrained networks with both modalities
  std::optional<ClassificationResult> classification;  // of classifiers
  double seconds = 0.0;
};
// All of it in one list: losses, retrieval, classification.
MetricValues values_of(const ValidationResult& result);

struct ValidationOptions {
  uint64_t mask_seed = 0;  // the same masks at every validation
};

struct StepCount {
  int64_t done = 0, total = 0;  // optimizer steps, of the whole run
};

class Task {
 public:
  virtual ~Task() = default;

  // The network with everything that trains.
  virtual CavMae& model() = 0;
  virtual std::vector<ParameterGroup> parameter_groups() = 0;

  // The loss of a batch, its terms and what else is measured; call backward() on the loss. What is random
  // comes from `generator`. Every rank calls it with its part of a batch; one whose part is empty returns no
  // loss. Each gives means over its own clips; the mean of the gradients over the clips of all ranks is the
  // batch's.
  virtual StepResult training_forward(const Batch& batch, torch::Generator generator) = 0;

  // One pass over clips that the run does not learn from, shared by the ranks of clips.world(); every rank
  // gets the whole result. Nothing when a stop signal arrived meanwhile.
  virtual std::optional<ValidationResult> validate(ClipPass& clips, const ValidationOptions& options) = 0;

  // Writes the network as others read it.
  virtual void save(const std::filesystem::path& path, const InputSpec& spec) = 0;

  // After each step of the optimizer, on every rank.
  virtual void step_done(const StepCount& /*steps*/) {}
  // What it keeps beside the network and its optimizer, for a checkpoint, the tensors in use; empty: nothing.
  virtual NamedTensors state() const { return {}; }
  // Takes copies. Throws CheckpointError where something is missing.
  virtual void load_state(const TensorFile& /*file*/) {}
};

}  // namespace cavmae
