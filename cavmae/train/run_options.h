// What decides any training run, whatever it learns: the options that pretraining and fine-tuning share.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cavmae/core/json.h"
#include "cavmae/core/options.h"
#include "cavmae/data/clip_reader.h"
#include "cavmae/data/loader.h"
#include "cavmae/features/input_spec.h"
#include "cavmae/models/cav_mae.h"
#include "cavmae/models/resize_positions.h"
#include "cavmae/train/optimizer/adam.h"
#include "cavmae/train/optimizer/schedule.h"

namespace cavmae {

// What the network is fed, as far as options of the run decide it: shapes are the model's, see input_spec().
// A new run obeys EXIF orientation.
struct RunInput : InputSpec {
  RunInput() { exif = true; }
  explicit RunInput(const InputSpec& spec) : InputSpec(spec) {}
  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    InputSpec::visit_beside_shapes(o, v);
  }
};

enum class BestMetric { retrieval, loss, map, accuracy };
inline std::vector<std::pair<BestMetric, std::string>> option_names(BestMetric) {
  return {{BestMetric::retrieval, "retrieval"},
          {BestMetric::loss, "loss"},
          {BestMetric::map, "map"},
          {BestMetric::accuracy, "accuracy"}};
}

// How the position embeddings of an initial model are fitted, as an option: "trim" or "interpolate", or
// false. Configurations of before there were two ways say true for "interpolate".
struct ResizePositions {
  PositionFit fit = PositionFit::refuse;

  Json to_json() const;
  // Throws ConfigError naming `where`.
  void from_json(const Json& json, const std::string& where);
};

struct CheckpointOptions {
  int64_t checkpoint_interval_steps = 0;
  double checkpoint_interval_seconds = 600.0;
  int64_t keep_checkpoints = 2;
  BestMetric best_metric = BestMetric::retrieval;

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("checkpoint_interval_steps", o.checkpoint_interval_steps,
      "steps between two checkpoints (0: by time alone)");
    v("checkpoint_interval_seconds", o.checkpoint_interval_seconds,
      "seconds between two checkpoints (0: by steps alone)");
    v("keep_checkpoints", o.keep_checkpoints, "how many of the last checkpoints are kept, the best besides");
    v("best_metric", o.best_metric,
      "what picks the best checkpoint at a validation: the mean of R@1 in both directions, the mean "
      "average precision, the accuracy, or the loss");
  }
};

// Whether a checkpoint is to be written between two steps.
struct CheckpointMoment {
  int64_t step = 0;
  double seconds_since_last = 0.0;
};
bool is_due(const CheckpointOptions& options, const CheckpointMoment& moment);

struct RunOptions {
  int64_t epochs = 25;
  int64_t seed = 0;
  std::filesystem::path init;  // what load_initial_parameters() takes; empty: random parameters
  std::string network;  // which of several in the file, see NetworkTensors::network; empty: the likeliest
  ResizePositions resize_positions;
  bool allow_partial = false;
  Precision precision = Precision::fp32;
  RuntimeOptions runtime;
  int64_t gradient_accumulation = 1;
  bool overlap = true;
  int64_t log_interval_steps = 20;
  int64_t validate_every_epochs = 1;
  int64_t average_from_epoch = 0;
  int64_t average_to_epoch = 0;
  RunInput data;
  ViewOptions view = training_view();
  LoaderOptions loader;
  OptimizerOptions optimizer;
  ScheduleOptions schedule;
  CheckpointOptions checkpoint;

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("epochs", o.epochs, "passes over the data");
    v("seed", o.seed, "what every random number of the run derives from");
    v("init", o.init,
      "begin from this model instead of random parameters: a run, a .safetensors or .pth file, the authors' or an image MAE's");
    v("network", o.network,
      "which network of an init that holds several (averaged ones beside it), by the keys that lead to it");
    v("resize_positions", o.resize_positions,
      "fit the position embeddings of init to clips of another length or pictures of another size: trim or "
      "interpolate, see the README (alone: trim)");
    v("allow_partial", o.allow_partial,
      "begin from an init that lacks parameters of its network, or has tensors that it has no place for");
    v("precision", o.precision, "arithmetic of the network; parameters and optimizer stay fp32");
    v("runtime", o.runtime, "what changes speed and memory alone");
    v("gradient_accumulation", o.gradient_accumulation,
      "batches whose gradients are averaged for one step (the contrastive loss stays within a batch)");
    v("overlap", o.overlap,
      "of several ranks: sum gradients while the backward pass goes on; the same numbers without");
    v("log_interval_steps", o.log_interval_steps, "steps between two records of the log and the metrics");
    v("validate_every_epochs", o.validate_every_epochs, "epochs between two validations (0: none)");
    v("average_from_epoch", o.average_from_epoch,
      "first epoch, from 1, whose last parameters enter the averaged model (0, or beyond the last: none is made)");
    v("average_to_epoch", o.average_to_epoch, "last such epoch (0: the last of the run)");
    v("data", o.data, "how clips become tensors");
    v("view", o.view, "augmentation");
    v("loader", o.loader, "reading ahead");
    v("optimizer", o.optimizer, "Adam");
    v("schedule", o.schedule, "learning rate");
    v("checkpoint", o.checkpoint, "what is saved and when");
  }

  // Whether the parameters at the end of an epoch, counted from 1, enter the average.
  bool averages(int64_t epoch) const {
    return average_from_epoch > 0 && epoch >= average_from_epoch &&
           (average_to_epoch == 0 || epoch <= average_to_epoch);
  }
};

// Sets `options` from the configuration that a run of this or an older program has saved. What an older one
// did not know is as it was then: it obeyed no EXIF orientation.
template <OptionStruct Options>
void options_from_saved(const Json& saved, Options& options, const std::string& where) {
  options.data.exif = false;
  option_from_json(saved, options, where);
}

// Adds every bad field to `problems`.
void collect_problems(Problems& problems, const RunOptions& options);

// A path that config.json is to hold, and JSON is UTF-8.
void require_utf8(Problems& problems, const char* name, const std::filesystem::path& path);

// Runs a check that throws ConfigError, adding its message to `problems`.
template <class Check>
void collect(Problems& problems, Check&& check) {
  try {
    check();
  } catch (const ConfigError& e) {
    problems.require(false, e.what());
  }
}

// What differs between a run's resolved configuration and the one it is to be resumed with, which `now` is
// part of. Workers, intervals, `epochs` (but for a cosine schedule) and the like may differ silently; lr,
// clip_gradient_norm, precision, kernels and device, which one changes on purpose, are returned as texts to
// report ("lr: 0.1, now 0.01"). Throws ConfigError naming every other field.
std::vector<std::string> check_resumable(const Json& saved, const Json& config, const RunOptions& now);
template <OptionStruct Options>
std::vector<std::string> check_resumable(const Json& saved, const Options& now) {
  return check_resumable(saved, option_to_json(now), now);
}

}  // namespace cavmae
