// Everything that decides a pretraining run, declared once: the configuration file, the flags and the copy in
// the run's folder derive from it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cavmae/core/json.h"
#include "cavmae/data/clip_reader.h"
#include "cavmae/data/loader.h"
#include "cavmae/losses/pretraining.h"
#include "cavmae/models/cav_mae.h"
#include "cavmae/train/adam.h"
#include "cavmae/train/schedule.h"

namespace cavmae {

// How clips become tensors, without the shapes: those are the model's, see feature_options().
struct ClipOptions {
  int64_t num_frames = 10;
  double window_seconds = 10.0;
  double fbank_mean = -5.081;
  double fbank_std = 4.4849;
  ChannelMix audio_channels = ChannelMix::first;

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("num_frames", o.num_frames, "pictures spread evenly over a clip");
    v("window_seconds", o.window_seconds, "length of the part of a file that makes a clip, in seconds");
    v("fbank_mean", o.fbank_mean, "mean of the data set's filterbank ('cavmae stats' computes it)");
    v("fbank_std", o.fbank_std, "standard deviation of the data set's filterbank");
    v("audio_channels", o.audio_channels, "which channel is heard");
  }
};

enum class BestMetric { retrieval, loss };
inline std::vector<std::pair<BestMetric, std::string>> option_names(BestMetric) {
  return {{BestMetric::retrieval, "retrieval"}, {BestMetric::loss, "loss"}};
}

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
      "what picks the best checkpoint at a validation: the mean of R@1 in both directions, or the loss");
  }
};

// Whether a checkpoint is to be written between two steps.
struct CheckpointMoment {
  int64_t step = 0;
  double seconds_since_last = 0.0;
};
bool is_due(const CheckpointOptions& options, const CheckpointMoment& moment);

struct PretrainOptions {
  int64_t epochs = 25;
  int64_t seed = 0;
  std::filesystem::path init;  // what load_initial_parameters() takes; empty: random parameters
  bool resize_positions = false;
  Precision precision = Precision::fp32;
  int64_t gradient_accumulation = 1;
  int64_t log_interval_steps = 20;
  int64_t validate_every_epochs = 1;
  CavMaeConfig model;
  ClipOptions data;
  ObjectiveOptions objective;
  MaskOptions mask;
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
      "begin from this model instead of random parameters: a run, a .safetensors or .pth file, the authors' "
      "or "
      "an image MAE's");
    v("resize_positions", o.resize_positions,
      "fit the position embeddings of init to clips of another length or pictures of another size");
    v("precision", o.precision, "arithmetic of the network; parameters and optimizer stay fp32");
    v("gradient_accumulation", o.gradient_accumulation,
      "batches whose gradients are averaged for one step (the contrastive loss stays within a batch)");
    v("log_interval_steps", o.log_interval_steps, "steps between two records of the log and the metrics");
    v("validate_every_epochs", o.validate_every_epochs, "epochs between two validations (0: none)");
    v("model", o.model, "shape of the network");
    v("data", o.data, "how clips become tensors");
    v("objective", o.objective, "the losses");
    v("mask", o.mask, "what is hidden from the encoders");
    v("view", o.view, "augmentation");
    v("loader", o.loader, "reading ahead");
    v("optimizer", o.optimizer, "Adam");
    v("schedule", o.schedule, "learning rate");
    v("checkpoint", o.checkpoint, "what is saved and when");
  }
  // One ConfigError listing every bad field.
  void validate() const;
};

// What the model is fed: ClipOptions with the model's shapes.
FeatureOptions feature_options(const PretrainOptions& options);

// What differs between a run's resolved configuration and the options it is to be resumed with. Workers,
// intervals, `epochs` (but for a cosine schedule) and the like may differ silently; lr, clip_gradient_norm
// and precision, which one changes on purpose after a loss that was not finite, are returned as texts to tell
// ("lr: 0.1, now 0.01"). Throws ConfigError naming every other field.
std::vector<std::string> check_resumable(const Json& saved, const PretrainOptions& now);

}  // namespace cavmae
