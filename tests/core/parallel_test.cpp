// LibTorch's parallel loop, as this project is built.
#include "cavmae/core/parallel.h"

#include <mutex>
#include <set>
#include <thread>

#include <gtest/gtest.h>

namespace cavmae {
namespace {

TEST(Parallel, LoopRunsOnAsManyThreadsAsAreSet) {
#ifndef _OPENMP
  GTEST_SKIP() << "built without OpenMP, as for ThreadSanitizer";
#endif
  at::set_num_threads(2);
  std::mutex mutex;
  std::set<std::thread::id> threads;
  at::parallel_for(0, 2, 1, [&](int64_t, int64_t) {
    const std::lock_guard<std::mutex> lock(mutex);
    threads.insert(std::this_thread::get_id());
  });
  EXPECT_EQ(threads.size(), 2u);
}

}  // namespace
}  // namespace cavmae
