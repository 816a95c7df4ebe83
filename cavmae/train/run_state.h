// Where a run stands between two steps: all that is not a tensor. It is the "state" of a checkpoint's
// state.json.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/data/clip_list.h"
#include "cavmae/train/metrics_log.h"
#include "cavmae/train/step_result.h"

namespace cavmae {

// Which clips a run learns from: another list would make "position in the epoch" mean something else.
struct DataFingerprint {
  int64_t clips = 0;
  std::string hash;  // of the ids in order

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("clips", o.clips, "number of clips");
    v("hash", o.hash, "hash of their ids in order");
  }
};
DataFingerprint fingerprint(const ClipList& clips);

// Throws DataError naming both counts when a run that learned from `saved` is to go on with other clips.
void check_same_data(const DataFingerprint& saved, const DataFingerprint& now);

// Sums since the last line of the log.
struct IntervalSums {
  int64_t steps = 0;
  int64_t samples = 0;
  double gradient_norm = 0.0;  // sum over steps
  double seconds = 0.0;
  double wait_seconds = 0.0;
  double exchange_seconds = 0.0;  // of several ranks
  StepMeans means;

  // One step.
  void add(const StepMeans& step_sums, double step_gradient_norm, double step_seconds);

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("steps", o.steps, "steps since the last record");
    v("samples", o.samples, "clips since the last record");
    v("gradient_norm", o.gradient_norm, "sum of the gradients' norms");
    v("seconds", o.seconds, "time spent");
    v("wait_seconds", o.wait_seconds, "time spent waiting for data");
    v("exchange_seconds", o.exchange_seconds, "time spent exchanging sums and gradients with other ranks");
    v("means", o.means, "sums of the losses");
  }
};

struct RunState {
  int64_t step = 0;           // optimizer steps done
  int64_t epoch = 0;          // the epoch that is under way, from 0
  int64_t next_position = 0;  // in the epoch's order
  int64_t samples = 0;        // clips trained on
  double elapsed_seconds = 0.0;
  std::optional<double> best_value;  // of the metric that picks the best checkpoint
  int64_t best_step = 0;
  IntervalSums interval;
  MetricsPosition metrics;
  DataFingerprint data;

  // Whether the parameters of this very step are the best so far.
  bool is_best() const { return best_value && best_step == step; }

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("step", o.step, "optimizer steps done");
    v("epoch", o.epoch, "epoch under way, from 0");
    v("next_position", o.next_position, "where the epoch's order goes on");
    v("samples", o.samples, "clips trained on");
    v("elapsed_seconds", o.elapsed_seconds, "time spent on the run");
    v("best_value", o.best_value, "best value of the metric");
    v("best_step", o.best_step, "step that reached it");
    v("interval", o.interval, "sums since the last record");
    v("metrics", o.metrics, "how far the metrics' files had come");
    v("data", o.data, "which clips the run learns from");
  }
};

}  // namespace cavmae
