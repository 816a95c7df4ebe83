#include "cavmae/serve/bounded_worker.h"

#include "cavmae/serve/http.h"

namespace cavmae {

BoundedWorker::BoundedWorker(std::string what, int64_t max_waiting)
    : what_(std::move(what)), max_waiting_(max_waiting), thread_([this] { work(); }) {}

BoundedWorker::~BoundedWorker() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void BoundedWorker::add(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    if (static_cast<int64_t>(waiting_.size()) >= max_waiting_) throw too_busy("too much waits for " + what_);
    waiting_.push_back(std::move(task));
  }
  changed_.notify_one();
}

void BoundedWorker::work() {
  while (true) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ended_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    const auto task = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    task();
  }
}

BoundedCount::Place::Place(BoundedCount& count) : count_(count) {
  const std::lock_guard lock(count.mutex_);
  if (count.now_ >= count.most_) throw too_busy("too many " + count.what_ + " at once");
  ++count.now_;
}

BoundedCount::Place::~Place() {
  const std::lock_guard lock(count_.mutex_);
  --count_.now_;
}

}  // namespace cavmae
