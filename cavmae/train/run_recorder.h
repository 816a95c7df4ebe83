// Everything a run reports while it goes: metrics files, log lines and the progress bar. One owner.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/core/progress.h"
#include "cavmae/data/loader.h"
#include "cavmae/train/metrics_log.h"
#include "cavmae/train/step_record.h"

namespace cavmae {

struct RecorderOptions {
  int64_t epochs = 0;
  int64_t total_steps = 0;
  bool show_progress = true;
};

class RunRecorder {
 public:
  // Goes on where `state` says the metrics' files ended.
  RunRecorder(const std::filesystem::path& run, const RunState& state, const RecorderOptions& options,
              std::shared_ptr<Log> log);

  // Shows the means over state.interval, which holds the step.
  void step_done(const RunState& state, double lr);
  // Writes the same; the caller then empties the interval.
  void interval_done(const RunState& state, double lr);
  // `better`: the best one so far.
  void validation_done(const RunState& state, const ValidationResult& result, bool better);

  void averaged_done(const RunState& state, const ValidationResult& result);

  // Flushes the metrics and returns where they end.
  MetricsPosition metrics_position() { return metrics_.position(); }
  // Takes the bar away so that something else can be shown.
  void clear() { progress_.clear(); }
  void finish(const std::vector<BadClip>& bad_clips);

 private:
  RecorderOptions options_;
  std::shared_ptr<Log> log_;
  MetricsLog metrics_;
  Progress progress_;
};

}  // namespace cavmae
