// A World whose ranks are threads of this process: what a backend promises, in the simplest way. Test code
// only.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "cavmae/core/error.h"
#include "cavmae/dist/world.h"

namespace cavmae::testing_support {

// What the ranks share: a tensor of each, and a place to meet.
struct ThreadMeeting {
  explicit ThreadMeeting(int64_t ranks) : tensors(static_cast<size_t>(ranks)) {}

  // Returns when every rank is here; throws when one will never be.
  void wait() {
    std::unique_lock lock(mutex);
    const int64_t round = rounds;
    if (++waiting == static_cast<int64_t>(tensors.size())) {
      waiting = 0;
      ++rounds;
      all_here.notify_all();
    }
    all_here.wait(lock, [&] { return rounds != round || ended; });
    CAVMAE_CHECK(rounds != round, "another rank has ended");
  }
  void end() {
    const std::lock_guard lock(mutex);
    ended = true;
    all_here.notify_all();
  }

  std::vector<torch::Tensor> tensors;
  std::mutex mutex;
  std::condition_variable all_here;
  int64_t waiting = 0, rounds = 0;
  bool ended = false;
};

class ThreadWorld final : public World {
 public:
  ThreadWorld(ThreadMeeting& meeting, int64_t rank) : meeting_(meeting), rank_(rank) {}

  int64_t rank() const override { return rank_; }
  int64_t size() const override { return static_cast<int64_t>(meeting_.tensors.size()); }

 protected:
  void do_all_reduce(const torch::Tensor& tensor) override {
    const torch::NoGradGuard no_grad;
    const auto tensors = exchange(tensor);
    torch::Tensor sum = tensors[0].clone();  // in the order of the ranks: the same bits everywhere
    for (size_t i = 1; i < tensors.size(); ++i) sum += tensors[i];
    tensor.copy_(sum);
  }
  std::vector<torch::Tensor> do_all_gather(const torch::Tensor& tensor) override {
    auto tensors = exchange(tensor);
    tensors[static_cast<size_t>(rank_)] = tensor;
    return tensors;
  }
  void do_broadcast(const torch::Tensor& tensor, int64_t root) override {
    const torch::NoGradGuard no_grad;
    tensor.copy_(exchange(tensor)[static_cast<size_t>(root)]);
  }
  void do_wait_for_all() override { meeting_.wait(); }

 private:
  // Copies of all ranks' tensors.
  std::vector<torch::Tensor> exchange(const torch::Tensor& tensor) {
    meeting_.tensors[static_cast<size_t>(rank_)] = tensor.detach();
    meeting_.wait();
    std::vector<torch::Tensor> copies;
    for (const auto& other : meeting_.tensors) copies.push_back(other.clone());
    meeting_.wait();  // before anyone writes into its tensor
    CAVMAE_CHECK(std::ranges::all_of(copies, [&](const auto& c) { return c.sizes() == tensor.sizes(); }),
                 "the ranks' tensors differ in size");
    return copies;
  }

  ThreadMeeting& meeting_;
  int64_t rank_;
};

// Runs `f` on every rank at once. Throws what the first rank threw that failed.
inline void run_ranks(int64_t ranks, const std::function<void(World&)>& f) {
  ThreadMeeting meeting(ranks);
  std::mutex mutex;
  std::exception_ptr failure;
  std::vector<std::thread> threads;
  for (int64_t rank = 0; rank < ranks; ++rank)
    threads.emplace_back([&, rank] {
      ThreadWorld world(meeting, rank);
      try {
        f(world);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
        meeting.end();
      }
    });
  for (auto& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace cavmae::testing_support
