// A mutex whose contracts the compiler checks: fields say which mutex guards them, functions say which they
// need, and clang's -Wthread-safety holds the code to it (GCC ignores the annotations).
#pragma once

#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define CAVMAE_THREAD_ATTRIBUTE(attribute) __attribute__((attribute))
#else
#define CAVMAE_THREAD_ATTRIBUTE(attribute)
#endif
#define CAVMAE_GUARDED_BY(mutex) CAVMAE_THREAD_ATTRIBUTE(guarded_by(mutex))
#define CAVMAE_REQUIRES(mutex) CAVMAE_THREAD_ATTRIBUTE(requires_capability(mutex))
#define CAVMAE_EXCLUDES(mutex) CAVMAE_THREAD_ATTRIBUTE(locks_excluded(mutex))

namespace cavmae {

class CAVMAE_THREAD_ATTRIBUTE(capability("mutex")) Mutex {
 public:
  void lock() CAVMAE_THREAD_ATTRIBUTE(acquire_capability()) { mutex_.lock(); }
  void unlock() CAVMAE_THREAD_ATTRIBUTE(release_capability()) { mutex_.unlock(); }

 private:
  friend class MutexLock;
  std::mutex mutex_;
};

// Holds the mutex for its lifetime, but for what stands between unlock() and lock().
class CAVMAE_THREAD_ATTRIBUTE(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) CAVMAE_THREAD_ATTRIBUTE(acquire_capability(mutex)) : lock_(mutex.mutex_) {}
  ~MutexLock() CAVMAE_THREAD_ATTRIBUTE(release_capability()) {}
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

  void unlock() CAVMAE_THREAD_ATTRIBUTE(release_capability()) { lock_.unlock(); }
  void lock() CAVMAE_THREAD_ATTRIBUTE(acquire_capability()) { lock_.lock(); }
  // Gives the mutex up until `changed` is notified. To be called in a loop that tests what is waited for.
  void wait(std::condition_variable& changed) { changed.wait(lock_); }

 private:
  std::unique_lock<std::mutex> lock_;
};

}  // namespace cavmae
