#include "cavmae/core/time_limit.h"

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

thread_local TimeLimit* innermost = nullptr;

}  // namespace

TimeLimit::TimeLimit(double seconds) : outer_(innermost), seconds_(seconds) {
  constexpr double kLongest = 1e9;  // what a clock can add
  if (seconds > 0 && seconds < kLongest)
    end_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  if (outer_ != nullptr && outer_->end_ < end_) {
    end_ = outer_->end_;
    seconds_ = outer_->seconds_;
  }
  innermost = this;
}

TimeLimit::~TimeLimit() {
  innermost = outer_;
  if (outer_ != nullptr && outer_->stopped_.empty() && outer_->end_ == end_) outer_->stopped_ = stopped_;
}

void TimeLimit::check_kept() const {
  if (!stopped_.empty()) fail();
}

bool TimeLimit::has_run_out(const std::string& source) {
  if (innermost == nullptr || innermost->end_ == Clock::time_point::max()) return false;
  if (innermost->stopped_.empty() && Clock::now() >= innermost->end_)
    innermost->stopped_ = source.empty() ? "a clip" : source;
  return !innermost->stopped_.empty();
}

void TimeLimit::check(const std::string& source) {
  if (has_run_out(source)) innermost->fail();
}

void TimeLimit::extend(std::chrono::duration<double> waited) {
  for (TimeLimit* limit = innermost; limit != nullptr; limit = limit->outer_)
    if (limit->end_ != Clock::time_point::max())
      limit->end_ += std::chrono::duration_cast<Clock::duration>(waited);
}

void TimeLimit::fail() const {
  throw MediaError(concat("'", stopped_, "' was not read within ", seconds_,
                          " s; it is damaged or comes very slowly: leave it out, or raise --clip-timeout"));
}

}  // namespace cavmae
