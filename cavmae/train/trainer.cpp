#include "cavmae/train/trainer.h"

#include <chrono>

#include <fmt/format.h>

#include "cavmae/core/files.h"
#include "cavmae/core/options.h"
#include "cavmae/core/stop_signal.h"
#include "cavmae/data/device_feed.h"
#include "cavmae/train/best_metric.h"
#include "cavmae/train/optimization_step.h"
#include "cavmae/train/optimizer/weight_average.h"
#include "cavmae/train/run_recorder.h"
#include "cavmae/train/setup.h"
#include "cavmae/train/training_checkpoint.h"

namespace cavmae {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class Trainer {
 public:
  Trainer(TrainingSetup setup, const RunPaths& paths, const RunHooks& hooks, std::shared_ptr<Log> log);
  RunResult run();

 private:
  void open_run();
  void restore(const FoundCheckpoint& found);
  void open_data();
  bool train_epoch();
  bool finish_epoch();
  bool finish_average();
  std::vector<Batch> next_group();
  void train_step(const std::vector<Batch>& group);
  [[noreturn]] void stop_not_finite(const std::string& what);
  std::optional<ValidationResult> validate();
  Standing judge(const ValidationResult& result);
  void record_interval();
  bool save_is_due() const;
  void save(Standing standing);
  std::vector<BadClip> bad_clips() const;

  Task& task() { return *setup_.task; }
  int64_t epoch_steps() const { return steps_per_epoch(options_, static_cast<int64_t>(setup_.clips.size())); }
  int64_t total_steps() const { return epoch_steps() * options_.epochs; }
  double elapsed_seconds() const { return elapsed_before_ + seconds_since(start_); }

  const TrainingSetup setup_;
  const RunOptions& options_ = setup_.options;
  const RunPaths paths_;
  const RunHooks hooks_;
  std::shared_ptr<Log> log_;
  OptimizationStep step_;
  CheckpointFolder checkpoints_;
  std::unique_ptr<RunLock> lock_;
  std::unique_ptr<Loader> loader_, val_loader_;
  std::unique_ptr<DeviceFeed> feed_;  // of loader_
  std::unique_ptr<RunRecorder> recorder_;
  RunState state_;
  WeightAverage average_;
  RunResult result_;
  double lr_ = 0.0;
  bool unsaved_ = false;  // whether the state moved on since the last checkpoint
  double elapsed_before_ = 0.0;
  Clock::time_point start_ = Clock::now(), last_save_ = start_;
};

Trainer::Trainer(TrainingSetup setup, const RunPaths& paths, const RunHooks& hooks, std::shared_ptr<Log> log)
    : setup_(std::move(setup)),
      paths_(paths),
      hooks_(hooks),
      log_(std::move(log)),
      step_(setup_.task, options_.optimizer,
            at::detail::createCPUGenerator(run_seed(options_, SeedUse::masks))),
      checkpoints_(paths.out, options_.checkpoint.keep_checkpoints, log_) {
  CAVMAE_CHECK_AS(DataError, epoch_steps() > 0, "the data holds ", setup_.clips.size(),
                  " clips, which do not fill a batch of ", options_.loader.batch_size,
                  "; set a smaller --batch-size or add clips");
  state_.data = fingerprint(setup_.clips);
}

// Everything that can be wrong is looked at before anything is written.
void Trainer::open_run() {
  std::optional<FoundCheckpoint> found;
  if (paths_.start == RunStart::resume) {
    found = checkpoints_.find_latest();
    const Json saved = found ? found->config : read_json(paths_.out / "config.json");
    for (const std::string& change : check_resumable(saved, setup_.config, options_))
      log_->warn("resuming with {}", change);
    if (found) restore(*found);
  }
  std::optional<InitialReport> initial;
  if (!found) initial = load_initial_parameters(task().model(), options_);
  checkpoints_.require_space(task().model(), step_.adam());
  make_directories(paths_.out);
  lock_ = std::make_unique<RunLock>(paths_.out);
  write_json(paths_.out / "config.json", setup_.config);
  write_run_paths(paths_);
  log_ = also_to_file(*log_, paths_.out / "run.log");
  if (found) {
    checkpoints_.settle(*found);
    log_->info("resuming at step {} (epoch {}) from {}", state_.step, state_.epoch + 1, found->path.string());
  } else if (paths_.start == RunStart::resume) {
    log_->warn("{}: no checkpoint was written yet; the run begins at step 0", paths_.out.string());
  }
  if (initial) log_initial_report(*initial, *log_);
  recorder_ = std::make_unique<RunRecorder>(paths_.out, state_,
                                            RecorderOptions{.epochs = options_.epochs,
                                                            .total_steps = total_steps(),
                                                            .parts = task().loss_parts(),
                                                            .show_progress = hooks_.show_progress},
                                            log_);
}

void Trainer::restore(const FoundCheckpoint& found) {
  check_same_data(found.state.data, state_.data);
  restore_tensors(found, {.model = task().model(),
                          .optimizer = step_.adam(),
                          .generator = step_.generator(),
                          .average = average_});
  state_ = found.state;
  elapsed_before_ = state_.elapsed_seconds;
  result_.last_checkpoint = found.path;
}

void Trainer::open_data() {
  const auto reader = std::make_shared<const ClipReader>(setup_.spec, paths_.cache);
  loader_ = std::make_unique<Loader>(setup_.clips, reader, options_.view, setup_.need, options_.loader, log_);
  if (setup_.supervision) loader_->supervise(*setup_.supervision);
  feed_ = std::make_unique<DeviceFeed>(*loader_, DeviceFeedOptions{.device = task().model()->device()});
  if (!setup_.val_clips.empty())
    val_loader_ = std::make_unique<Loader>(setup_.val_clips, reader, setup_.val_view, setup_.need,
                                           options_.loader, log_);
}

RunResult Trainer::run() {
  open_run();
  open_data();
  CavMae& model = task().model();
  log_->info(
      "{:.3f} M parameters, {:.3f} M of them train, in {}; {} clips, {} to validate with; {} steps an epoch, {} in all",
      count_millions(model, ValueCount::all), count_millions(model, ValueCount::trained),
      enum_name(options_.precision), setup_.clips.size(), setup_.val_clips.size(), epoch_steps(),
      total_steps());
  start_ = last_save_ = Clock::now();
  bool go_on = true;
  while (go_on && state_.epoch < options_.epochs) go_on = train_epoch() && finish_epoch();
  if (unsaved_) save(Standing::last);
  if (go_on) go_on = finish_average();
  result_.interrupted = !go_on;
  result_.steps = state_.step;
  result_.samples = state_.samples;
  result_.elapsed_seconds = elapsed_seconds();
  result_.best_value = state_.best_value;
  result_.bad_clips = bad_clips();
  recorder_->finish(result_.bad_clips);
  if (result_.interrupted) log_->warn("stopped by a signal after step {}; go on with --resume", state_.step);
  return result_;
}

// False when a signal asked to stop.
bool Trainer::train_epoch() {
  const bool from_start = state_.next_position == 0;
  feed_->start_epoch({.epoch = state_.epoch,
                      .seed = static_cast<uint64_t>(options_.seed),
                      .shuffle = true,
                      .drop_last = true,
                      .start_position = state_.next_position});
  std::vector<Batch> group = next_group();
  CAVMAE_CHECK_AS(DataError, !from_start || !group.empty(), "epoch ", state_.epoch + 1,
                  ": too few clips can be read to fill a batch of ", options_.loader.batch_size);
  while (!group.empty()) {
    train_step(group);
    if (StopSignal::requested()) return false;
    // Known before saving: the last step of an epoch is saved with its validation.
    group = next_group();
    if (!group.empty() && save_is_due()) save(Standing::last);
  }
  return true;
}

std::vector<Batch> Trainer::next_group() {
  const auto start = Clock::now();
  std::vector<Batch> group;
  while (static_cast<int64_t>(group.size()) < options_.gradient_accumulation) {
    auto batch = feed_->next();
    if (!batch) break;
    group.push_back(std::move(*batch));
  }
  const double seconds = seconds_since(start);
  state_.interval.seconds += seconds;
  state_.interval.wait_seconds += seconds;
  return group;
}

void Trainer::train_step(const std::vector<Batch>& group) {
  const auto start = Clock::now();
  lr_ = learning_rate(options_.schedule,
                      {.epoch = state_.epoch, .step = state_.step, .total_steps = total_steps()});
  const StepOutcome outcome = step_.take(group, lr_);
  if (!outcome.not_finite.empty()) stop_not_finite(outcome.not_finite);
  unsaved_ = true;
  ++state_.step;
  state_.next_position = group.back().next_position;
  state_.samples += outcome.sums.clips;
  state_.interval.add(outcome.sums, outcome.gradient_norm, seconds_since(start));
  recorder_->step_done(state_, lr_);
  if (state_.step % options_.log_interval_steps == 0) record_interval();
  if (hooks_.after_step) hooks_.after_step(state_.step);
}

// The step changed nothing, so what is saved is the state before it.
void Trainer::stop_not_finite(const std::string& what) {
  if (unsaved_ || result_.last_checkpoint.empty()) save(Standing::last);
  throw Error(fmt::format(
      "step {}: {} is not finite; the run was stopped and the state before the step is in {}. Go on with "
      "--resume and a lower --lr (now {:.3g}), with --clip-gradient-norm {:.3g}{}",
      state_.step + 1, what, result_.last_checkpoint.string(), options_.schedule.lr,
      options_.optimizer.clip_gradient_norm.value_or(2.0) / 2,
      options_.precision == Precision::fp32 ? "" : ", or with --precision fp32"));
}

// False when a signal asked to stop; one that comes before the validation is done leaves it to the resumed
// run.
bool Trainer::finish_epoch() {
  const int64_t epoch = state_.epoch + 1;
  const bool last = epoch == options_.epochs;
  const int64_t every = options_.validate_every_epochs;
  if (last && state_.interval.steps > 0) record_interval();
  std::optional<ValidationResult> validation;
  if (val_loader_ && every > 0 && (epoch % every == 0 || last)) {
    validation = validate();
    if (!validation) return false;
  }
  state_.epoch = epoch;
  state_.next_position = 0;
  if (options_.averages(epoch)) average_.add(task().model());
  unsaved_ = true;
  const Standing standing = validation ? judge(*validation) : Standing::last;
  if (standing == Standing::best || last || save_is_due()) save(standing);
  return last || !StopSignal::requested();
}

std::optional<ValidationResult> Trainer::validate() {
  recorder_->clear();
  return task().validate(*val_loader_, {.mask_seed = run_seed(options_, SeedUse::validation_masks),
                                        .show_progress = hooks_.show_progress});
}

// The averaged model is made after the last checkpoint: a run that is resumed in between makes it again.
// False when a signal asked to stop.
bool Trainer::finish_average() {
  if (average_.count() == 0) {
    if (options_.average_from_epoch > 0)
      log_->info("no averaged model: the average begins with epoch {}, the run has {}",
                 options_.average_from_epoch, options_.epochs);
    return true;
  }
  const TemporaryParameters averaged(task().model(), average_.mean());
  result_.averaged_checkpoint = checkpoints_.save_averaged(task(), setup_.spec);
  log_->info("the mean of {} epochs' parameters is in {}", average_.count(),
             result_.averaged_checkpoint.string());
  if (!val_loader_) return true;
  result_.averaged_validation = validate();
  if (result_.averaged_validation) recorder_->averaged_done(state_, *result_.averaged_validation);
  return result_.averaged_validation.has_value();
}

Standing Trainer::judge(const ValidationResult& result) {
  result_.validation = result;
  const Judgement judgement = judge_validation(result, options_.checkpoint.best_metric);
  const bool better =
      !state_.best_value || (judgement.higher_is_better ? judgement.value > *state_.best_value
                                                        : judgement.value < *state_.best_value);
  recorder_->validation_done(state_, result, better);
  if (!better) return Standing::last;
  state_.best_value = judgement.value;
  state_.best_step = state_.step;
  return Standing::best;
}

void Trainer::record_interval() {
  state_.elapsed_seconds = elapsed_seconds();
  recorder_->interval_done(state_, lr_);
  state_.interval = {};
}

bool Trainer::save_is_due() const {
  return is_due(options_.checkpoint, {.step = state_.step, .seconds_since_last = seconds_since(last_save_)});
}

void Trainer::save(Standing standing) {
  state_.elapsed_seconds = elapsed_seconds();
  state_.metrics = recorder_->metrics_position();
  result_.last_checkpoint = checkpoints_.save({.task = task(),
                                               .optimizer = step_.adam(),
                                               .generator = step_.generator().get_state(),
                                               .spec = setup_.spec,
                                               .config = setup_.config,
                                               .state = state_,
                                               .average = average_},
                                              standing);
  unsaved_ = false;
  last_save_ = Clock::now();
  log_->debug("saved {}", result_.last_checkpoint.string());
}

std::vector<BadClip> Trainer::bad_clips() const {
  std::vector<BadClip> bad = loader_->bad_clips();
  if (val_loader_)
    for (BadClip& clip : val_loader_->bad_clips()) bad.push_back(std::move(clip));
  return bad;
}

}  // namespace

RunResult train(TrainingSetup setup, const RunPaths& paths, const RunHooks& hooks, std::shared_ptr<Log> log) {
  const StopSignal stop_signal;
  return Trainer(std::move(setup), paths, hooks, std::move(log)).run();
}

}  // namespace cavmae
