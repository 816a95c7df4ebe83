#include "cavmae/train/run_recorder.h"

#include <limits>

#include <fmt/format.h>

#include "cavmae/core/text.h"

namespace cavmae {

RunRecorder::RunRecorder(const std::filesystem::path& run, const RunState& state,
                         const RecorderOptions& options, std::shared_ptr<Log> log)
    : options_(options),
      log_(std::move(log)),
      metrics_(run, state.metrics, *log_),
      // Where no terminal shows the bar, the log's own lines show the progress.
      progress_({.title = "training",
                 .unit = "steps",
                 .total = options.total_steps,
                 .already_done = state.step,
                 .line_interval_seconds = std::numeric_limits<double>::infinity(),
                 .quiet = !options.show_progress}) {}

void RunRecorder::step_done(const RunState& state, double lr) {
  progress_.update(state.step, fmt::format("epoch {}/{}, {}", state.epoch + 1, options_.epochs,
                                           train_line(train_record(state, lr))));
}

void RunRecorder::interval_done(const RunState& state, double lr) {
  const Json record = train_record(state, lr);
  metrics_.write(record);
  progress_.clear();
  log_->info("step {}/{}, epoch {}: {}, ETA {}", state.step, options_.total_steps, state.epoch + 1,
             train_line(record), human_duration(progress_.eta_seconds()));
}

void RunRecorder::validation_done(const RunState& state, const ValidationResult& result, bool better) {
  const Json record = validation_record(state, result);
  metrics_.write(record);
  progress_.clear();
  log_->info("validation after epoch {}/{}: {}{}", state.epoch, options_.epochs, validation_line(record),
             better ? ", the best so far" : "");
}

void RunRecorder::averaged_done(const RunState& state, const ValidationResult& result) {
  const Json record = validation_record(state, result, ValidationOf::averaged);
  metrics_.write(record);
  log_->info("validation of the averaged model: {}", validation_line(record));
}

void RunRecorder::finish(const std::vector<BadClip>& bad_clips) {
  progress_.finish();
  if (!bad_clips.empty()) log_->warn("{} clips could not be read and were left out:", bad_clips.size());
  for (const BadClip& clip : bad_clips) log_->warn("  {}: {}", clip.id, clip.reason);
}

}  // namespace cavmae
