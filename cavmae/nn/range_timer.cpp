#include "cavmae/nn/range_timer.h"

#include <algorithm>
#include <chrono>
#include <cstdint>

#include <ATen/SequenceNumber.h>
#include <ATen/record_function.h>

#include "cavmae/core/error.h"

namespace cavmae {

struct RangeTimer::State {
  using Clock = std::chrono::steady_clock;

  // What an instant belongs to.
  struct Place {
    size_t path = 0;  // index into `times`
    bool backward = false;
  };
  // From this node number on, nodes belong to this path.
  struct Boundary {
    uint64_t first_node = 0;
    size_t path = 0;
  };

  std::vector<RangeTime> times{RangeTime{}};
  std::vector<Boundary> boundaries{Boundary{}};  // ascending in first_node
  std::vector<Place> enclosing;                  // of each open scope, what was before it
  Place now;
  Clock::time_point since = Clock::now();
  at::CallbackHandle callback = 0;

  // RecordFunction's callbacks carry no state of their own, and a timer listens to its own thread alone.
  static thread_local State* t_listener;
  static std::unique_ptr<at::ObserverContext> on_begin(const at::RecordFunction& record);
  static void on_end(const at::RecordFunction& record, at::ObserverContext*);

  void charge();
  size_t child_of_now(const char* name);
  void begin_scope(const char* name);
  void end_scope();
  void begin_node(int64_t number);
};

thread_local RangeTimer::State* RangeTimer::State::t_listener = nullptr;

void RangeTimer::State::charge() {
  const auto time = Clock::now();
  const double seconds = std::chrono::duration<double>(time - since).count();
  (now.backward ? times[now.path].backward_seconds : times[now.path].forward_seconds) += seconds;
  since = time;
}

size_t RangeTimer::State::child_of_now(const char* name) {
  const std::string& parent = times[now.path].path;
  const std::string path = parent.empty() ? name : parent + "/" + name;
  const auto found = std::ranges::find(times, path, &RangeTime::path);
  if (found != times.end()) return static_cast<size_t>(found - times.begin());
  times.push_back({.path = path});
  return times.size() - 1;
}

void RangeTimer::State::begin_scope(const char* name) {
  charge();
  enclosing.push_back(now);
  now.path = child_of_now(name);
  boundaries.push_back({at::sequence_number::peek(), now.path});
}

void RangeTimer::State::end_scope() {
  if (enclosing.empty()) return;  // it was opened before restart()
  charge();
  now = enclosing.back();
  enclosing.pop_back();
  boundaries.push_back({at::sequence_number::peek(), now.path});
}

// A node without a number takes a parameter's gradient from the node before it, and belongs there.
void RangeTimer::State::begin_node(int64_t number) {
  if (number < 0) return;
  charge();
  const auto after =
      std::ranges::upper_bound(boundaries, static_cast<uint64_t>(number), {}, &Boundary::first_node);
  now = {.path = std::prev(after)->path, .backward = true};
}

// LibTorch gives a thread's callbacks to those that work for it as well, such as an exchange's, which has no
// listener.
std::unique_ptr<at::ObserverContext> RangeTimer::State::on_begin(const at::RecordFunction& record) {
  if (t_listener == nullptr) return nullptr;
  if (record.scope() == at::RecordScope::USER_SCOPE) {
    t_listener->begin_scope(record.name());
  } else {
    t_listener->begin_node(record.seqNr());
  }
  return nullptr;
}

void RangeTimer::State::on_end(const at::RecordFunction& record, at::ObserverContext*) {
  if (t_listener != nullptr && record.scope() == at::RecordScope::USER_SCOPE) t_listener->end_scope();
}

RangeTimer::RangeTimer() : state_(std::make_unique<State>()) {
  CAVMAE_CHECK(State::t_listener == nullptr, "this thread has a RangeTimer already");
  State::t_listener = state_.get();
  at::RecordFunctionCallback callback(&State::on_begin, &State::on_end);
  callback.scopes({at::RecordScope::USER_SCOPE, at::RecordScope::BACKWARD_FUNCTION});
  state_->callback = at::addThreadLocalCallback(callback);
}

RangeTimer::~RangeTimer() {
  at::removeCallback(state_->callback);
  State::t_listener = nullptr;
}

void RangeTimer::restart() {
  state_->times.assign(1, {});
  state_->boundaries.assign(1, {});
  state_->enclosing.clear();
  state_->now = {};
  state_->since = State::Clock::now();
}

std::vector<RangeTime> RangeTimer::times() {
  state_->charge();
  return state_->times;
}

}  // namespace cavmae
