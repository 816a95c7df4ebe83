// One thread that does others' work in turn, so that they do not all do it at once; what waits is bounded.
// Safe from several threads.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

namespace cavmae {

class BoundedWorker {
 public:
  // `what` names what it does, for errors.
  BoundedWorker(std::string what, int64_t max_waiting);
  ~BoundedWorker();  // finishes what waits

  // What `f` returns or throws, computed on the thread. Throws HttpError 503 when too much waits.
  template <class F>
  auto run(F f) {
    auto task = std::make_shared<std::packaged_task<decltype(f())()>>(std::move(f));
    auto result = task->get_future();
    add([task] { (*task)(); });
    return result.get();
  }

 private:
  void add(std::function<void()> task);
  void work();

  std::string what_;
  int64_t max_waiting_;
  std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  std::deque<std::function<void()>> waiting_;
  bool ended_ = false;
  std::thread thread_;
};

// How many may do something at once; one more is refused.
class BoundedCount {
 public:
  BoundedCount(std::string what, int64_t most) : what_(std::move(what)), most_(most) {}

  // Counts for its lifetime. Throws HttpError 503 when there are too many.
  class Place {
   public:
    explicit Place(BoundedCount& count);
    ~Place();
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

   private:
    BoundedCount& count_;
  };

 private:
  std::string what_;
  int64_t most_, now_ = 0;
  std::mutex mutex_;  // of now_
};

}  // namespace cavmae
