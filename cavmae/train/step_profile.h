// Steps on random inputs, timed part by part beside the arithmetic that they need. It measures the network
// and not the reading of clips. One owner; the timing is of the thread that calls step().
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cavmae/data/clip.h"
#include "cavmae/train/finetune_options.h"
#include "cavmae/train/optimization_step.h"
#include "cavmae/train/pretrain_options.h"

namespace cavmae {

enum class StepKind { pretrain, finetune, embed };
inline std::vector<std::pair<StepKind, std::string>> option_names(StepKind) {
  return {{StepKind::pretrain, "pretrain"}, {StepKind::finetune, "finetune"}, {StepKind::embed, "embed"}};
}

struct ProfileOptions {
  StepKind mode = StepKind::pretrain;
  int64_t batch_size = 8;
  Precision precision = Precision::fp32;
  int64_t num_frames = 1;

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("mode", o.mode,
      "what a step does: pretrain, fine-tune a classifier of 527 classes on both modalities, or embed for retrieval");
    v("batch_size", o.batch_size, "clips in a step");
    v("precision", o.precision, "arithmetic of the network");
    v("num_frames", o.num_frames, "pictures of a clip whose embeddings are averaged (mode embed)");
  }
  void validate() const;
};

struct PartProfile {
  std::string part;  // "decoder/attention"; "other" for what no part claims
  double seconds = 0.0;
  double gflop = 0.0;  // of the whole batch; 0 where nothing is counted
};

struct StepProfile {
  double seconds = 0.0;           // the sum of the parts
  double exchange_seconds = 0.0;  // of them, of several ranks: StepOutcome's
  std::vector<PartProfile> parts;
};

// Clips of random numbers. Where the network takes segments of sound, several pictures have one each, cut
// from one filterbank of the clip (features/segments.h).
Batch random_batch(const CavMaeConfig& config, const ProfileOptions& options, torch::Generator generator);

// The step of a mode that trains: the one that a run takes, on random clips, batch_size of them a rank. A
// teacher ranks patches in it, as after the warm-up.
struct ProfiledTraining {
  OptimizationStep step;
  std::vector<Batch> group;
  double lr = 0.0;
};
ProfiledTraining make_profiled_training(const PretrainOptions& recipe, const ProfileOptions& options,
                                        World& world = World::alone());
// Mode finetune: fine-tuning's defaults (bce, the head's learning rate) on the recipe's network and
// optimizer.
FinetuneOptions profiled_fine_tuning(const PretrainOptions& recipe, const ProfileOptions& options);

class StepProfiler {
 public:
  // The recipe's network, losses, masks and optimizer. `world` outlives this; its ranks take steps together.
  StepProfiler(const PretrainOptions& recipe, const ProfileOptions& options, World& world = World::alone());
  ~StepProfiler();

  StepProfile step();  // on a GPU of one part, the whole
  // What a step needs, in 1e9 operations a clip.
  double gflop_per_clip() const;
  CavMae& model();

  struct State;  // private to the implementation

 private:
  StepProfile step_on_device();

  std::unique_ptr<State> state_;
};

// The step whose seconds are the median. `steps` must not be empty.
StepProfile median_step(std::vector<StepProfile> steps);

}  // namespace cavmae
