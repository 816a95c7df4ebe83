// Which of the files that are to be read this process reads, where several fill one library. Private to this
// folder; safe from several threads.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <optional>

namespace cavmae {

class WorkShare {
 public:
  enum class Kind {
    read,  // the job is this process's
    done,  // another process has done it since this one has looked
    wait,  // others are at work on all that is left; they may end before they are done, so ask again
  };
  struct Turn {
    Kind kind = Kind::read;
    size_t job = 0;
  };
  virtual ~WorkShare() = default;
  // What is next; nothing when all jobs are done or given out, or when nothing more is `wanted`. Asked again
  // after `wait`, it waits a moment first.
  virtual std::optional<Turn> next(const std::function<bool()>& wanted) = 0;
};

// All of them, in their order.
class WholeWork : public WorkShare {
 public:
  explicit WholeWork(size_t num_jobs) : num_jobs_(num_jobs) {}

  std::optional<Turn> next(const std::function<bool()>& wanted) override {
    const size_t job = next_++;
    if (job >= num_jobs_ || !wanted()) return std::nullopt;
    return Turn{.job = job};
  }

 private:
  size_t num_jobs_;
  std::atomic<size_t> next_ = 0;
};

}  // namespace cavmae
