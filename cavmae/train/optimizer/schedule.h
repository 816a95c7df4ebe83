// The learning rate over a run, as a pure function of the place in it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace cavmae {

enum class LrSchedule { step_decay, cosine, constant };
inline std::vector<std::pair<LrSchedule, std::string>> option_names(LrSchedule) {
  return {{LrSchedule::step_decay, "step_decay"},
          {LrSchedule::cosine, "cosine"},
          {LrSchedule::constant, "constant"}};
}

struct ScheduleOptions {
  double lr = 5e-5;
  LrSchedule lr_schedule = LrSchedule::step_decay;
  int64_t decay_start = 10;
  int64_t decay_step = 5;
  double decay_factor = 0.5;
  int64_t warmup_steps = 0;
  double warmup_share = 0.0;
  double min_lr_ratio = 0.0;

  // Files of before this field do not have it.
  static constexpr const char* kAbsentByDefault[] = {"warmup_share"};

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("lr", o.lr, "learning rate after the warm-up");
    v("lr_schedule", o.lr_schedule, "how the learning rate falls");
    v("decay_start", o.decay_start, "step_decay: epochs before the first fall");
    v("decay_step", o.decay_step, "step_decay: epochs between two falls");
    v("decay_factor", o.decay_factor, "step_decay: what a fall multiplies the learning rate by");
    v("warmup_steps", o.warmup_steps, "steps in which the learning rate rises linearly from 0");
    v("warmup_share", o.warmup_share,
      "the same as a share of all steps of the run, instead of warmup_steps (0: by warmup_steps)");
    v("min_lr_ratio", o.min_lr_ratio, "cosine: the last learning rate as a share of the first");
  }
};

// A place in a run; both count from 0.
struct ScheduleTime {
  int64_t epoch = 0;
  int64_t step = 0;
  int64_t total_steps = 0;  // of the whole run; cosine and warmup_share need it
};

// step_decay: lr * decay_factor^k, k the number of falls at the epochs decay_start, decay_start + decay_step,
// ... (the authors' MultiStepLR). cosine: lr * (r + (1 - r) * (1 + cos(pi x)) / 2), x the share of the steps
// after the warm-up that are done and r = min_lr_ratio. In the warm-up the result is scaled by (step + 1) /
// the warm-up's steps.
double learning_rate(const ScheduleOptions& options, const ScheduleTime& time);

// Steps of the warm-up of a run of so many.
int64_t warmup_of(const ScheduleOptions& options, int64_t total_steps);

}  // namespace cavmae
