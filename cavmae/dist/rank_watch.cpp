#include "cavmae/dist/rank_watch.h"

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "cavmae/core/error.h"
#include "cavmae/core/text.h"

namespace cavmae {
namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

constexpr const char* kCulprit = "culprit";

// How often a rank says that it is there.
Milliseconds beat_of(Milliseconds timeout) {
  return std::clamp(timeout / 20, Milliseconds(50), Milliseconds(2000));
}

enum class Condition { runs, failed, abandons, has_left };

// What a rank says of itself.
struct RankStatus {
  int64_t beat = 0;         // how often it has said so
  int64_t collectives = 0;  // that it has come to
  int64_t arrivals = 0;     // see RankWatch::arrive()
  Condition condition = Condition::runs;
  std::string what = {};  // it does, or why it abandons
};

std::vector<uint8_t> encoded(const RankStatus& status) {
  const std::string text = concat(status.beat, '\n', status.collectives, '\n', status.arrivals, '\n',
                                  static_cast<int>(status.condition), '\n', status.what);
  return {text.begin(), text.end()};
}

RankStatus decoded(const std::vector<uint8_t>& bytes) {
  const std::string text(bytes.begin(), bytes.end());
  RankStatus status;
  const char* next = text.data();
  const char* const end = next + text.size();
  int condition = 0;
  const auto number = [&](auto& value) {
    next = std::from_chars(next, end, value).ptr;
    if (next < end) ++next;
  };
  number(status.beat);
  number(status.collectives);
  number(status.arrivals);
  number(condition);
  status.condition = static_cast<Condition>(condition);
  status.what.assign(next, end);
  return status;
}

std::string status_key(int64_t rank) {
  return concat("status/", rank);
}

}  // namespace

struct RankWatch::State {
  State(Met of_all, int64_t own, Milliseconds timeout)
      : met(std::move(of_all)), rank(own), beat(beat_of(timeout)), patience(timeout / 2) {}

  Met met;
  const int64_t rank;
  const Milliseconds beat;
  const Milliseconds patience;  // with a rank that says nothing

  mutable std::mutex mutex;
  std::condition_variable changed;
  RankStatus own;
  std::optional<std::string> asked;  // the reason for which culprit() was called
  std::string told;                  // by this rank or another
  bool ending = false, ended = false;
  int64_t all_arrived = 0;  // so often
  bool has_just_arrived = false;

  // While this rank waits for others to arrive; the thread's alone.
  struct Seen {
    int64_t beat = -1;
    Clock::time_point at;
    bool is_here = false;
  };
  std::vector<Seen> seen;
  int64_t seen_for = 0;  // which arrival
  int64_t missing = 0;

  void run();
  void beat_once();
  void look_for_arrivals();
  RankStatus read_status(size_t other);
  std::vector<RankStatus> read_statuses();
  std::string find_culprit(const std::string& reason);
  std::string blame(const std::vector<RankStatus>& before, const std::vector<RankStatus>& after,
                    const std::string& reason) const;
  std::string name_of(int64_t other) const {
    return concat("rank ", other, " of ", met.ranks.size(), " on ",
                  met.ranks[static_cast<size_t>(other)].host);
  }
  void tell_culprit(const std::string& culprit) {
    met.store->set(kCulprit, {culprit.begin(), culprit.end()});
  }
  bool is_last_with_store() const { return rank == 0; }
  void wait_until_others_know();
  void end(Condition condition, const std::string& what);
};

// Tells this rank's status and hears whether another one told a culprit.
void RankWatch::State::beat_once() {
  std::vector<uint8_t> text;
  {
    const std::lock_guard lock(mutex);
    ++own.beat;
    text = encoded(own);
  }
  met.store->set(status_key(rank), text);
  if (!met.store->check({kCulprit})) return;
  const std::vector<uint8_t> culprit = met.store->get(kCulprit);
  const std::lock_guard lock(mutex);
  if (told.empty()) told.assign(culprit.begin(), culprit.end());
  changed.notify_all();
}

void RankWatch::State::look_for_arrivals() {
  int64_t wanted = 0;
  {
    const std::lock_guard lock(mutex);
    if (own.arrivals == all_arrived) return;
    wanted = own.arrivals;
  }
  const auto now = Clock::now();
  if (std::exchange(seen_for, wanted) != wanted) seen.assign(met.ranks.size(), {.at = now});
  missing = 0;
  bool is_silent = false;
  for (size_t other = 0; other < seen.size(); ++other) {
    Seen& last = seen[other];
    if (last.is_here) continue;  // not asked again: there may be many ranks
    const RankStatus status = read_status(other);
    last.is_here = static_cast<int64_t>(other) == rank || status.arrivals >= wanted ||
                   status.condition == Condition::has_left;
    if (last.is_here) continue;
    ++missing;
    if (std::exchange(last.beat, status.beat) != status.beat) last.at = now;
    is_silent = is_silent || now - last.at > patience;
  }
  const std::lock_guard lock(mutex);
  if (missing == 0) all_arrived = wanted;
  if (is_silent && !asked) asked = "one of them says nothing any more";
  changed.notify_all();
}

RankStatus RankWatch::State::read_status(size_t other) {
  const std::string key = status_key(static_cast<int64_t>(other));
  return met.store->check({key}) ? decoded(met.store->get(key)) : RankStatus{};
}

std::vector<RankStatus> RankWatch::State::read_statuses() {
  std::vector<RankStatus> statuses;
  for (size_t other = 0; other < met.ranks.size(); ++other) statuses.push_back(read_status(other));
  return statuses;
}

std::string RankWatch::State::blame(const std::vector<RankStatus>& before,
                                    const std::vector<RankStatus>& after, const std::string& reason) const {
  std::vector<int64_t> silent, late;
  const int64_t own_collectives = after[static_cast<size_t>(rank)].collectives;
  int64_t fewest = own_collectives;
  for (size_t other = 0; other < after.size(); ++other) {
    const auto number = static_cast<int64_t>(other);
    const RankStatus& status = after[other];
    if (status.condition == Condition::abandons) return concat(name_of(number), " ended: ", status.what);
    if (number == rank || status.condition != Condition::runs) continue;
    if (status.beat == before[other].beat) silent.push_back(number);
    if (status.collectives < fewest) late.clear();
    fewest = std::min(fewest, status.collectives);
    if (status.collectives == fewest && fewest < own_collectives) late.push_back(number);
  }
  const auto last = [&](int64_t other) { return after[static_cast<size_t>(other)].what; };
  if (!silent.empty()) {
    const std::string more = silent.size() == 1 ? "" : concat(" (nor do ranks ", list_of(silent), ")");
    return concat(name_of(silent.front()), " was ended, hangs or cannot be reached", more,
                  "; the last that it told: it ", last(silent.front()));
  }
  if (!late.empty())
    return concat(name_of(late.front()), " does not come to what the others wait for; it ",
                  last(late.front()));
  return concat("the ranks have lost each other: ", reason);
}

// Looks who still tells something.
std::string RankWatch::State::find_culprit(const std::string& reason) {
  const std::vector<RankStatus> before = read_statuses();
  const auto end = Clock::now() + 5 * beat / 2;  // a rank that is there says so twice
  while (Clock::now() < end) {
    std::this_thread::sleep_for(beat / 4);
    beat_once();
    const std::lock_guard lock(mutex);
    if (!told.empty()) return told;
  }
  const std::string culprit = blame(before, read_statuses(), reason);
  tell_culprit(culprit);
  return culprit;
}

void RankWatch::State::run() {
  std::unique_lock lock(mutex);
  while (!ending) {
    std::optional<std::string> reason;
    std::swap(reason, asked);
    lock.unlock();
    std::string culprit;
    try {
      beat_once();
      look_for_arrivals();
      if (reason) culprit = find_culprit(*reason);
    } catch (const std::exception&) {
      culprit = concat(name_of(0), ", or what keeps the meeting place, was ended or cannot be reached");
      lock.lock();
      ending = true;
      lock.unlock();
    }
    lock.lock();
    if (!culprit.empty() && told.empty()) told = culprit;
    changed.notify_all();
    // The last few are looked for more often, since all the others wait for them.
    constexpr int64_t kFew = 4;
    const bool waits_for_few = own.arrivals != all_arrived && missing <= kFew;
    const Milliseconds pause = waits_for_few ? std::min(beat, Milliseconds(200)) : beat;
    if (!ending && !asked)
      changed.wait_for(lock, pause,
                       [&] { return ending || asked.has_value() || std::exchange(has_just_arrived, false); });
  }
  ended = true;
  changed.notify_all();
}

// Rank 0 may keep the store, which the others still ask.
void RankWatch::State::wait_until_others_know() {
  const auto end_of_patience = Clock::now() + 4 * beat;
  while (Clock::now() < end_of_patience) {
    const std::vector<RankStatus> statuses = read_statuses();
    const bool all = std::ranges::all_of(statuses, [&](const RankStatus& status) {
      return &status == &statuses[static_cast<size_t>(rank)] || status.condition != Condition::runs;
    });
    if (all) return;
    std::this_thread::sleep_for(beat / 4);
  }
}

void RankWatch::State::end(Condition condition, const std::string& what) {
  {
    std::unique_lock lock(mutex);
    if (ended) return;
    own.condition = condition;
    own.what = what;
    ending = true;
    changed.notify_all();
    // A thread that hangs in a connection is left behind.
    if (!changed.wait_for(lock, 4 * beat, [&] { return ended; })) return;
  }
  try {
    if (condition == Condition::abandons) tell_culprit(concat(name_of(rank), " ended: ", what));
    beat_once();
    if (is_last_with_store()) wait_until_others_know();
  } catch (const std::exception&) {  // the store is gone, and with it whom to tell
  }
}

RankWatch::RankWatch(Met met, int64_t rank, Milliseconds timeout)
    : state_(std::make_shared<State>(std::move(met), rank, timeout)) {
  state_->own.what = "begins";
  std::thread([state = state_] { state->run(); }).detach();
}

RankWatch::~RankWatch() {
  give_up();
}

Milliseconds RankWatch::time_to_tell(Milliseconds timeout) {
  return 10 * beat_of(timeout);
}

void RankWatch::does(const std::string& what) {
  const std::lock_guard lock(state_->mutex);
  state_->own.what = what;
}

void RankWatch::comes_to_collective() {
  const std::lock_guard lock(state_->mutex);
  ++state_->own.collectives;
}

void RankWatch::arrive() {
  const std::lock_guard lock(state_->mutex);
  ++state_->own.arrivals;
  state_->has_just_arrived = true;
  state_->changed.notify_all();
}

bool RankWatch::all_are_here() const {
  const std::lock_guard lock(state_->mutex);
  return state_->all_arrived == state_->own.arrivals;
}

std::string RankWatch::told() const {
  const std::lock_guard lock(state_->mutex);
  return state_->told;
}

std::string RankWatch::culprit(const std::string& reason) {
  State& state = *state_;
  std::unique_lock lock(state.mutex);
  if (state.told.empty()) {
    state.asked = reason;
    state.changed.notify_all();
    state.changed.wait_for(lock, 5 * state.beat, [&] { return !state.told.empty(); });
  }
  if (state.told.empty()) state.told = concat(state.name_of(0), ", or the way to it, does not answer");
  return state.told;
}

void RankWatch::leave() {
  state_->end(Condition::has_left, "has done its part");
}

void RankWatch::abandon(const std::string& why) {
  state_->end(Condition::abandons, why);
}

void RankWatch::give_up() {
  state_->end(Condition::failed, "");
}

}  // namespace cavmae
