#include "cavmae/train/trainer.h"

#include <chrono>

#include <fmt/format.h>

#include "cavmae/core/options.h"
#include "cavmae/core/stop_signal.h"
#include "cavmae/data/device_feed.h"
#include "cavmae/eval/failed_clips.h"
#include "cavmae/train/best_metric.h"
#include "cavmae/train/optimization_step.h"
#include "cavmae/train/optimizer/weight_average.h"
#include "cavmae/train/rank_checks.h"
#include "cavmae/train/setup.h"
#include "cavmae/train/step_decision.h"
#include "cavmae/train/validation.h"

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
  void check_ranks(const std::optional<FoundCheckpoint>& found);
  EpochOptions epoch_options() const;
  void restore(const FoundCheckpoint& found);
  void open_data();
  bool train_epoch();
  bool finish_epoch();
  bool finish_average();
  std::vector<Batch> next_group();
  StepDecision train_step(std::vector<Batch>& group);
  StepDecision agree(StepDecision decision);
  void check_bad_clips(const StepDecision& decision);
  void step_done(const StepOutcome& outcome, const std::vector<Batch>& group, double seconds);
  [[noreturn]] void stop_not_finite(const std::string& what);
  std::optional<ValidationResult> validate();
  void update_best(const ValidationResult& result);
  void record_interval();
  bool save_is_due() const;
  bool stop_requested() const { return StopSignal::requested() || (hooks_.stop && hooks_.stop()); }
  bool shows_progress() const { return hooks_.show_progress && world_.rank() == 0; }
  void save();
  std::vector<BadClip> bad_clips_of_ranks() const;

  Task& task() { return *setup_.task; }
  int64_t epoch_steps() const { return steps_per_epoch(options_, static_cast<int64_t>(setup_.clips.size())); }
  int64_t total_steps() const { return steps_of_run(options_, static_cast<int64_t>(setup_.clips.size())); }
  double elapsed_seconds() const { return elapsed_before_ + seconds_since(start_); }

  const TrainingSetup setup_;
  World& world_ = setup_.world;
  RunWriter* const writer_ = setup_.writer;  // null on every rank but 0
  const RunOptions& options_ = setup_.options;
  const RunPaths paths_;
  const RunHooks hooks_;
  std::shared_ptr<Log> log_;
  OptimizationStep step_;
  std::unique_ptr<Loader> loader_;
  std::unique_ptr<DeviceFeed> feed_;    // of loader_
  std::unique_ptr<ClipPass> val_pass_;  // null: no validation
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
            at::detail::createCPUGenerator(run_seed(options_, SeedUse::masks)), world_,
            {.overlap = options_.overlap}) {
  CAVMAE_CHECK_AS(DataError, epoch_steps() > 0, "the data holds ", setup_.clips.size(),
                  " clips, which do not fill a batch of ", options_.loader.batch_size,
                  "; set a smaller --batch-size or add clips");
  state_.data = fingerprint(setup_.clips);
}

void Trainer::check_ranks(const std::optional<FoundCheckpoint>& found) {
  check_ranks_agree(world_, {.config = setup_.config,
                             .data = state_.data,
                             .batch_size = options_.loader.batch_size,
                             .first_step = found ? found->state.step : -1});
}

// Everything that can be wrong is looked at before anything is written.
void Trainer::open_run() {
  world_.does("begins the run");
  std::optional<FoundCheckpoint> found;
  if (paths_.start == RunStart::resume) {
    found = find_latest_checkpoint(paths_.out, *log_);
    const Json saved = found ? found->config : read_json(paths_.out / "config.json");
    for (const std::string& change : check_resumable(saved, setup_.config, options_))
      log_->warn("resuming with {}", change);
    if (found) restore(*found);
  }
  std::optional<InitialReport> initial;
  if (!found) initial = load_initial_parameters(task().model(), options_);
  check_ranks(found);
  if (writer_) writer_->checkpoints().require_space(task().model(), step_.adam());
  world_.barrier();  // every rank has read what it needs
  if (writer_)
    writer_->begin({.config = setup_.config,
                    .state = state_,
                    .found = found,
                    .recorder = {.epochs = options_.epochs,
                                 .total_steps = total_steps(),
                                 .show_progress = hooks_.show_progress}});
  if (found)
    log_->info("resuming at step {} (epoch {}) from {}", state_.step, state_.epoch + 1, found->path.string());
  else if (paths_.start == RunStart::resume)
    log_->warn("{}: no checkpoint was written yet; the run begins at step 0", paths_.out.string());
  if (initial) log_initial_report(*initial, *log_);
}

void Trainer::restore(const FoundCheckpoint& found) {
  check_same_data(found.state.data, state_.data);
  restore_tensors(
      found,
      {.task = task(), .optimizer = step_.adam(), .generator = step_.generator(), .average = average_});
  state_ = found.state;
  elapsed_before_ = state_.elapsed_seconds;
  result_.last_checkpoint = found.path;
}

void Trainer::open_data() {
  const auto reader = std::make_shared<const ClipReader>(setup_.spec, paths_.cache, log_);
  loader_ = std::make_unique<Loader>(setup_.clips, reader, options_.view, setup_.need, options_.loader, log_);
  if (setup_.supervision) loader_->supervise(*setup_.supervision);
  feed_ = std::make_unique<DeviceFeed>(*loader_, DeviceFeedOptions{.device = task().model()->device()});
  if (!setup_.val_clips.empty())
    val_pass_ = std::make_unique<ClipPass>(setup_.val_clips, reader,
                                           validation_pass({.need = setup_.need,
                                                            .view = setup_.val_view,
                                                            .loader = options_.loader,
                                                            .device = task().model()->device(),
                                                            .show_progress = shows_progress(),
                                                            .world = world_}),
                                           log_);
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
  if (const int64_t warmup = warmup_of(options_.schedule, total_steps());
      warmup > 0 && warmup >= total_steps())
    log_->warn(
        "the warm-up takes {} steps, and this run has {}: its learning rate never reaches {}; --warmup-share 0.1 "
        "--warmup-steps 0 lets it rise in the first tenth",
        warmup, total_steps(), options_.schedule.lr);
  start_ = last_save_ = Clock::now();
  bool go_on = true;
  while (go_on && state_.epoch < options_.epochs) go_on = train_epoch() && finish_epoch();
  if (unsaved_) save();
  if (go_on) go_on = finish_average();
  result_.interrupted = !go_on;
  result_.steps = state_.step;
  result_.samples = state_.samples;
  result_.elapsed_seconds = elapsed_seconds();
  result_.best_value = state_.best_value;
  result_.bad_clips = bad_clips_of_ranks();  // no rank leaves before rank 0 has saved
  if (writer_) writer_->recorder().finish(result_.bad_clips);
  if (result_.interrupted) log_->warn("stopped by a signal after step {}; go on with --resume", state_.step);
  return result_;
}

EpochOptions Trainer::epoch_options() const {
  return {.epoch = state_.epoch,
          .seed = static_cast<uint64_t>(options_.seed),
          .shuffle = true,
          .drop_last = true,
          .start_position = state_.next_position,
          .part = {.rank = world_.rank(), .ranks = world_.size()}};
}

// False when a signal asked to stop.
bool Trainer::train_epoch() {
  const EpochOptions epoch = epoch_options();
  EpochOptions next = epoch;
  ++next.epoch;
  next.start_position = 0;
  feed_->start_epoch(epoch, next.epoch < options_.epochs ? std::optional(next) : std::nullopt);
  std::vector<Batch> group = next_group();
  StepDecision decision = agree({.has_batch = !group.empty()});
  while (decision.has_batch) {
    decision = train_step(group);
    if (decision.stop) return false;
    // It is known whether the epoch goes on: its last step is saved with its validation.
    if (decision.has_batch && decision.save) save();
  }
  CAVMAE_CHECK_AS(DataError, state_.step > 0, "none of the ", setup_.clips.size(), " clips can be read");
  return true;
}

std::vector<Batch> Trainer::next_group() {
  world_.does("reads clips");
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

// Learns from `group` and puts the next one in its place.
StepDecision Trainer::train_step(std::vector<Batch>& group) {
  const auto start = Clock::now();
  world_.does(fmt::format("computes step {}", state_.step + 1));
  lr_ = learning_rate(options_.schedule,
                      {.epoch = state_.epoch, .step = state_.step, .total_steps = total_steps()});
  const StepOutcome outcome = step_.take(group, lr_);
  StepDecision decision{.not_finite = !outcome.not_finite.empty()};
  if (!decision.not_finite) {
    step_done(outcome, group, seconds_since(start));
    decision.stop = stop_requested();
    if (!decision.stop) group = next_group();
    decision.has_batch = !decision.stop && !group.empty();
    decision.save = save_is_due();
  }
  decision = agree(decision);
  if (decision.not_finite) stop_not_finite(outcome.not_finite);
  return decision;
}

// A rank that waits here for another's clips would have computed meanwhile.
StepDecision Trainer::agree(StepDecision decision) {
  if (world_.size() == 1) return decision;
  const ClipAccount own = loader_->account();
  decision.clips_seen = own.seen;
  decision.clips_bad = own.bad;
  const double exchanged_before = world_.exchange_seconds();
  decision = world_.agree(decision);
  const double seconds = world_.exchange_seconds() - exchanged_before;
  state_.interval.seconds += seconds;
  state_.interval.exchange_seconds += seconds;
  if (!decision.stop && !decision.not_finite) check_bad_clips(decision);
  return decision;
}

// The limit is that of all ranks' clips, so that every rank comes to the same.
void Trainer::check_bad_clips(const StepDecision& decision) {
  const ClipAccount all{.clips = static_cast<int64_t>(setup_.clips.size()),
                        .seen = decision.clips_seen,
                        .bad = decision.clips_bad};
  const double most = options_.loader.max_bad_ratio;
  if (!too_many_bad(all, most, decision.has_batch ? EpochIs::under_way : EpochIs::at_end)) return;
  throw_too_many_bad(all, most, gather_bad_clips(world_, loader_->bad_clips()));
}

void Trainer::step_done(const StepOutcome& outcome, const std::vector<Batch>& group, double seconds) {
  unsaved_ = true;
  state_.next_position = group.back().next_position;
  if (outcome.sums.clips == 0) return;  // none of the group's clips could be read
  ++state_.step;
  task().step_done({.done = state_.step, .total = total_steps()});
  state_.samples += outcome.sums.clips;
  state_.interval.add(outcome.sums, outcome.gradient_norm, seconds);
  state_.interval.exchange_seconds += outcome.exchange_seconds;
  if (writer_) writer_->recorder().step_done(state_, lr_);
  if (state_.step % options_.log_interval_steps == 0) record_interval();
  if (hooks_.after_step) hooks_.after_step(state_.step);
}

// The step changed nothing, so what is saved is the state before it.
void Trainer::stop_not_finite(const std::string& what) {
  if (unsaved_ || result_.last_checkpoint.empty()) save();
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
  if (val_pass_ && every > 0 && (epoch % every == 0 || last)) {
    validation = validate();
    if (!validation) return false;
  }
  state_.epoch = epoch;
  state_.next_position = 0;
  if (options_.averages(epoch)) average_.add(task().model());
  unsaved_ = true;
  if (validation) update_best(*validation);
  const StepDecision decision =
      world_.agree(StepDecision{.stop = stop_requested(), .save = last || save_is_due()});
  if (decision.save || (validation && state_.is_best())) save();
  return last || !decision.stop;
}

std::optional<ValidationResult> Trainer::validate() {
  if (writer_) writer_->recorder().clear();
  world_.does("validates");
  return task().validate(*val_pass_, {.mask_seed = run_seed(options_, SeedUse::validation_masks)});
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
  if (writer_) {
    result_.averaged_checkpoint = writer_->checkpoints().save_averaged(task(), setup_.spec);
    log_->info("the mean of {} epochs' parameters is in {}", average_.count(),
               result_.averaged_checkpoint.string());
  }
  if (!val_pass_) return true;
  result_.averaged_validation = validate();
  if (writer_ && result_.averaged_validation)
    writer_->recorder().averaged_done(state_, *result_.averaged_validation);
  return result_.averaged_validation.has_value();
}

void Trainer::update_best(const ValidationResult& result) {
  result_.validation = result;
  const BestMetricValue now = best_metric(result, options_.checkpoint.best_metric);
  const bool better = is_best(now, state_.best_value);
  if (writer_) writer_->recorder().validation_done(state_, result, better);
  if (!better) return;
  state_.best_value = now.value;
  state_.best_step = state_.step;
}

void Trainer::record_interval() {
  state_.elapsed_seconds = elapsed_seconds();
  if (writer_) writer_->recorder().interval_done(state_, lr_);
  state_.interval = {};
}

bool Trainer::save_is_due() const {
  return is_due(options_.checkpoint, {.step = state_.step, .seconds_since_last = seconds_since(last_save_)});
}

void Trainer::save() {
  if (writer_) {
    world_.does("writes a checkpoint");
    state_.elapsed_seconds = elapsed_seconds();
    state_.metrics = writer_->recorder().metrics_position();
    result_.last_checkpoint = writer_->checkpoints().save({.task = task(),
                                                           .optimizer = step_.adam(),
                                                           .generator = step_.generator().get_state(),
                                                           .spec = setup_.spec,
                                                           .config = setup_.config,
                                                           .state = state_,
                                                           .average = average_});
    log_->debug("saved {}", result_.last_checkpoint.string());
  }
  unsaved_ = false;
  last_save_ = Clock::now();
}

std::vector<BadClip> Trainer::bad_clips_of_ranks() const {
  std::vector<BadClip> bad = loader_->bad_clips();
  if (val_pass_)
    for (BadClip& clip : val_pass_->bad_clips()) bad.push_back(std::move(clip));
  return gather_bad_clips(world_, std::move(bad));
}

}  // namespace

RunResult train(TrainingSetup setup, const RunPaths& paths, const RunHooks& hooks, std::shared_ptr<Log> log) {
  const StopSignal stop_signal;
  return Trainer(std::move(setup), paths, hooks, std::move(log)).run();
}

}  // namespace cavmae
