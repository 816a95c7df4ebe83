#include "cavmae/core/stop_signal.h"

#include <atomic>
#include <csignal>
#include <mutex>

#include <unistd.h>

namespace cavmae {
namespace {

// Written by the handler, which may run on any thread, and read by all.
std::atomic<int> g_requested = 0;
static_assert(std::atomic<int>::is_always_lock_free, "a signal's handler may not wait");
std::mutex g_mutex;
int g_count = 0;  // of those that live
struct sigaction g_old_int, g_old_term;

void on_signal(int signal) {
  if (g_requested) ::_exit(128 + signal);
  g_requested = 1;
}

}  // namespace

StopSignal::StopSignal() {
  const std::lock_guard lock(g_mutex);
  if (g_count++ > 0) return;
  g_requested = 0;
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, &g_old_int);
  ::sigaction(SIGTERM, &action, &g_old_term);
}

StopSignal::~StopSignal() {
  const std::lock_guard lock(g_mutex);
  if (--g_count > 0) return;
  ::sigaction(SIGINT, &g_old_int, nullptr);
  ::sigaction(SIGTERM, &g_old_term, nullptr);
  g_requested = 0;
}

bool StopSignal::requested() {
  return g_requested != 0;
}

}  // namespace cavmae
