#include "cavmae/train/optimizer/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace cavmae {
namespace {

double decay(const ScheduleOptions& options, const ScheduleTime& time, int64_t warmup) {
  switch (options.lr_schedule) {
    case LrSchedule::constant:
      return 1.0;
    case LrSchedule::step_decay: {
      if (time.epoch < options.decay_start) return 1.0;
      const int64_t falls = 1 + (time.epoch - options.decay_start) / options.decay_step;
      return std::pow(options.decay_factor, static_cast<double>(falls));
    }
    case LrSchedule::cosine: {
      const auto steps = static_cast<double>(std::max<int64_t>(1, time.total_steps - warmup));
      const double done = std::clamp(static_cast<double>(time.step - warmup) / steps, 0.0, 1.0);
      return options.min_lr_ratio +
             (1.0 - options.min_lr_ratio) * 0.5 * (1.0 + std::cos(std::numbers::pi * done));
    }
  }
  return 1.0;
}

}  // namespace

double learning_rate(const ScheduleOptions& options, const ScheduleTime& time) {
  const int64_t warmup = warmup_of(options, time.total_steps);
  const double risen =
      time.step < warmup ? static_cast<double>(time.step + 1) / static_cast<double>(warmup) : 1.0;
  return options.lr * decay(options, time, warmup) * risen;
}

int64_t warmup_of(const ScheduleOptions& options, int64_t total_steps) {
  return options.warmup_share > 0 ? std::llround(options.warmup_share * static_cast<double>(total_steps))
                                  : options.warmup_steps;
}

}  // namespace cavmae
