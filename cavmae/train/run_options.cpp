#include "cavmae/train/run_options.h"

#include <algorithm>
#include <array>

#include "cavmae/core/json_text.h"
#include "cavmae/core/utf8.h"
#include "cavmae/train/finetune_options.h"
#include "cavmae/train/pretrain_options.h"

namespace cavmae {
namespace {

// What may differ between a run and its resumption without changing what a step computes.
constexpr std::array<std::string_view, 14> kHarmless = {"epochs",
                                                        "overlap",
                                                        "recompute",
                                                        "log_interval_steps",
                                                        "validate_every_epochs",
                                                        "num_workers",
                                                        "prefetch_batches",
                                                        "max_bad_ratio",
                                                        "clip_timeout",
                                                        "checkpoint_interval_steps",
                                                        "checkpoint_interval_seconds",
                                                        "keep_checkpoints",
                                                        "validation_frames",
                                                        "final_frames"};

// What may be changed on purpose, and is logged.
constexpr std::array<std::string_view, 6> kSteering = {
    "lr", "clip_gradient_norm", "precision", "kernels", "engine", "device"};

void check_run(Problems& problems, const RunOptions& o) {
  problems.require(o.epochs >= 1, "epochs is ", o.epochs, ", it must be at least 1");
  problems.require(o.seed >= 0, "seed is ", o.seed, ", it must not be negative");
  problems.require(o.gradient_accumulation >= 1, "gradient_accumulation is ", o.gradient_accumulation,
                   ", it must be at least 1");
  problems.require(o.log_interval_steps >= 1, "log_interval_steps is ", o.log_interval_steps,
                   ", it must be at least 1");
  problems.require(o.validate_every_epochs >= 0, "validate_every_epochs is ", o.validate_every_epochs,
                   ", it must be 0 (never) or more");
  problems.require(o.average_from_epoch >= 0, "average_from_epoch is ", o.average_from_epoch,
                   ", it must be 0 (no average) or more");
  problems.require(
      o.average_to_epoch == 0 || o.average_from_epoch <= 0 || o.average_to_epoch >= o.average_from_epoch,
      "average_to_epoch is ", o.average_to_epoch,
      ", it must be 0 (the last) or not before average_from_epoch (", o.average_from_epoch, ")");
  problems.require(o.checkpoint.checkpoint_interval_steps >= 0, "checkpoint_interval_steps is ",
                   o.checkpoint.checkpoint_interval_steps, ", it must be 0 (by time alone) or more");
  problems.require(o.checkpoint.checkpoint_interval_seconds >= 0, "checkpoint_interval_seconds is ",
                   o.checkpoint.checkpoint_interval_seconds, ", it must be 0 (by steps alone) or more");
  problems.require(o.checkpoint.keep_checkpoints >= 1, "keep_checkpoints is ", o.checkpoint.keep_checkpoints,
                   ", it must be at least 1");
}

void check_optimizer(Problems& problems, const OptimizerOptions& o) {
  problems.require(o.beta1 >= 0 && o.beta1 < 1, "beta1 is ", o.beta1, ", it must lie in 0 to 1 (1 excluded)");
  problems.require(o.beta2 >= 0 && o.beta2 < 1, "beta2 is ", o.beta2, ", it must lie in 0 to 1 (1 excluded)");
  problems.require(o.epsilon > 0, "epsilon is ", o.epsilon, ", it must be above 0");
  problems.require(o.weight_decay >= 0, "weight_decay is ", o.weight_decay, ", it must not be negative");
  problems.require(!o.clip_gradient_norm || *o.clip_gradient_norm > 0, "clip_gradient_norm is ",
                   o.clip_gradient_norm.value_or(0), ", it must be above 0 or 'none'");
}

void check_schedule(Problems& problems, const ScheduleOptions& o) {
  problems.require(o.lr > 0, "lr is ", o.lr, ", it must be above 0");
  problems.require(o.decay_start >= 0, "decay_start is ", o.decay_start, ", it must be 0 or more epochs");
  problems.require(o.decay_step >= 1, "decay_step is ", o.decay_step, ", it must be at least 1 epoch");
  problems.require(o.decay_factor > 0 && o.decay_factor <= 1, "decay_factor is ", o.decay_factor,
                   ", it must lie in 0 to 1 (0 excluded)");
  problems.require(o.warmup_steps >= 0, "warmup_steps is ", o.warmup_steps, ", it must be 0 or more");
  problems.require(o.warmup_share >= 0 && o.warmup_share < 1, "warmup_share is ", o.warmup_share,
                   ", it must lie in 0 to 1 (1 excluded)");
  problems.require(o.warmup_share == 0 || o.warmup_steps == 0, "warmup_steps is ", o.warmup_steps,
                   " and warmup_share ", o.warmup_share,
                   "; one of them says how long the warm-up is, give 0 for the other");
  problems.require(o.min_lr_ratio >= 0 && o.min_lr_ratio <= 1, "min_lr_ratio is ", o.min_lr_ratio,
                   ", it must lie in 0 to 1");
}

bool is_harmless(const std::string& name, const RunOptions& now) {
  if (name == "epochs" && (now.schedule.lr_schedule == LrSchedule::cosine || now.schedule.warmup_share > 0))
    return false;
  return std::find(kHarmless.begin(), kHarmless.end(), name) != kHarmless.end();
}

struct Differences {
  Problems forbidden;
  std::vector<std::string> steering;
};

// Whether a field is left out of a configuration while it has its default.
bool is_absent_by_default(const std::string& name) {
  const auto is_one_of = [&](const auto& names) {
    return std::find(std::begin(names), std::end(names), name) != std::end(names);
  };
  return is_one_of(CavMaeConfig::kAbsentByDefault) || is_one_of(InputSpec::kAbsentByDefault) ||
         is_one_of(ObjectiveOptions::kAbsentByDefault) || is_one_of(PretrainOptions::kAbsentByDefault) ||
         is_one_of(FinetuneOptions::kAbsentByDefault) || is_one_of(ScheduleOptions::kAbsentByDefault);
}

// A leaf that the older configuration did not know had its default.
// Fields that one configuration has and the other has not, since there they are as by default.
void compare_absent(Differences& found, const Json& saved, const Json& now, const RunOptions& options) {
  const auto decides = [&](const std::string& name) {
    return is_absent_by_default(name) && !is_harmless(name, options);
  };
  for (const auto& [name, value] : now.items())
    found.forbidden.require(saved.contains(name) || !decides(name), name,
                            ": the run has the default, this call ", to_text(value));
  for (const auto& [name, value] : saved.items())
    found.forbidden.require(now.contains(name) || !decides(name), name, ": the run has ", to_text(value),
                            ", this call the default");
}

void compare(Differences& found, const Json& saved, const Json& now, const RunOptions& options) {
  compare_absent(found, saved, now, options);
  for (const auto& [name, value] : now.items()) {
    if (!saved.contains(name) || is_harmless(name, options)) continue;
    if (value.is_object()) {
      compare(found, saved[name], value, options);
    } else if (saved[name] != value &&
               std::find(kSteering.begin(), kSteering.end(), name) != kSteering.end()) {
      found.steering.push_back(concat(name, ": ", to_text(saved[name]), ", now ", to_text(value)));
    } else {
      found.forbidden.require(saved[name] == value, name, ": the run has ", to_text(saved[name]),
                              ", this call ", to_text(value));
    }
  }
}

}  // namespace

Json ResizePositions::to_json() const {
  return fit == PositionFit::refuse ? Json(false) : Json(enum_name(fit));
}

void ResizePositions::from_json(const Json& json, const std::string& where) {
  if (json == true || json == "true")
    fit = PositionFit::interpolate;
  else if (json == false || json == "false")
    fit = PositionFit::refuse;
  else
    option_from_json(json, fit, where);
}

bool is_due(const CheckpointOptions& options, const CheckpointMoment& moment) {
  const int64_t steps = options.checkpoint_interval_steps;
  const double seconds = options.checkpoint_interval_seconds;
  return (steps > 0 && moment.step % steps == 0) || (seconds > 0 && moment.seconds_since_last >= seconds);
}

void require_utf8(Problems& problems, const char* name, const std::filesystem::path& path) {
  problems.require(is_utf8(path.native()), name, " is ", escape_invalid_utf8(path.native()),
                   ", which is no UTF-8 text, as config.json needs; rename it, or give a link to it");
}

void collect_problems(Problems& problems, const RunOptions& options) {
  require_utf8(problems, "init", options.init);
  collect(problems, [&] { parse_device(options.runtime.device); });
  collect(problems, [&] { options.loader.validate(); });
  check_run(problems, options);
  check_optimizer(problems, options.optimizer);
  check_schedule(problems, options.schedule);
}

std::vector<std::string> check_resumable(const Json& saved, const Json& config, const RunOptions& now) {
  Differences found;
  Json before = saved;
  if (before.value("resize_positions", Json()) == true)
    before["resize_positions"] = ResizePositions{PositionFit::interpolate}.to_json();
  if (before.contains("data") && !before["data"].contains("exif"))
    before["data"]["exif"] = false;  // see options_from_saved()
  compare(found, before, config, now);
  // A teacher's EMA rises over the whole run, as a learning rate falls by a cosine.
  if (config.contains("teacher") && is_harmless("epochs", now))
    found.forbidden.require(before["epochs"] == config["epochs"], "epochs: the run has ",
                            to_text(before["epochs"]), ", over which its teacher's EMA rises, this call ",
                            to_text(config["epochs"]));
  found.forbidden.throw_if_any(
      "the run was made with other options; give the same ones, or start anew in another --out");
  return found.steering;
}

}  // namespace cavmae
