#include "cavmae/dist/rank_watch.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "cavmae/core/error.h"
#include "cavmae/core/text.h"
#include "cavmae/dist/rank_status.h"

namespace cavmae {
namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

constexpr const char* kCulprit = "culprit";

// How often a rank says that it is there.
Milliseconds beat_of(Milliseconds timeout) {
  return std::clamp(timeout / 20, Milliseconds(50), Milliseconds(2000));
}

std::string status_key(int64_t rank) {
  return concat("status/", rank);
}

}  // namespace

struct RankWatch::State {
  State(Met of_all, int64_t own_rank, const WatchOptions& options)
      : met(std::move(of_all)),
        rank(own_rank),
        beat(beat_of(options.timeout)),
        patience(options.timeout / 2 - 2 * beat),
        grace(options.timeout - patience - 11 * beat),
        if_unheard(options.if_unheard) {}

  Met met;
  const int64_t rank;
  const Milliseconds beat;
  const Milliseconds patience;  // with a rank that says nothing
  // Of this rank's work, to hear that another is lost: what is left of the timeout when that was found out,
  // told, and this rank's end is told.
  const Milliseconds grace;
  const std::function<void(const std::string& culprit)> if_unheard;  // may be empty

  mutable std::mutex mutex;
  std::condition_variable changed;
  RankStatus own;
  // Why the thread that uses the store is to find out who is lost.
  struct Question {
    std::string reason = {};
    bool is_certain = false;  // a collective has failed; else a rank was silent, and may speak again
  };
  std::optional<Question> asked;
  std::string told;  // by this rank or another
  bool ending = false, ended = false;
  bool ends_process = false;  // by if_unheard
  int64_t rounds = 0;         // in which the store has answered
  std::string first_does;     // what rank 0, which may keep the store, told last
  int64_t all_arrived = 0;    // so often
  bool has_just_arrived = false;

  // The rest is that thread's alone.
  struct Seen {
    int64_t beat = -1;
    Clock::time_point at;
    bool is_here = false;
  };
  Seen next_seen;          // of the rank after this one
  std::vector<Seen> seen;  // while this rank waits for others to arrive
  int64_t seen_for = 0;    // which arrival
  int64_t missing = 0;

  void run();
  void guard();
  void beat_once();
  void look_after_next();
  void look_for_arrivals();
  bool is_silent(Seen& last, const RankStatus& status) const;
  void suspect();
  void acquit();
  RankStatus read_status(size_t other);
  std::vector<RankStatus> read_statuses();
  std::string find_culprit(Question question);
  std::string blame(const std::vector<RankStatus>& before, const std::vector<RankStatus>& after,
                    const Question& question) const;
  std::string lost_store(const char* how) const;
  std::string name_of(int64_t other) const {
    return concat("rank ", other, " of ", met.ranks.size(), " on ",
                  met.ranks[static_cast<size_t>(other)].host);
  }
  void tell_culprit(const std::string& culprit) {
    met.store->set(kCulprit, {culprit.begin(), culprit.end()});
  }
  bool is_last_with_store() const { return rank == 0; }
  void wait_until_others_know();
  void end(RankCondition condition, const std::string& what);
  void tell_end(RankCondition condition, const std::string& what);
};

// Why this rank has lost the store. Holds the lock.
std::string RankWatch::State::lost_store(const char* how) const {
  if (rank == 0) return concat("what keeps the meeting place ", how);
  return concat(name_of(0), ", or ", how, "; the last that it told: it ",
                first_does.empty() ? "begins" : first_does);
}

// Tells this rank's status and hears whether another one told a culprit.
void RankWatch::State::beat_once() {
  std::vector<uint8_t> text;
  {
    const std::lock_guard lock(mutex);
    ++own.beat;
    text = encoded(own);
  }
  met.store->set(status_key(rank), text);
  std::vector<uint8_t> culprit;
  if (met.store->check({kCulprit})) culprit = met.store->get(kCulprit);
  const std::lock_guard lock(mutex);
  ++rounds;
  if (culprit.empty()) return;
  if (told.empty()) told.assign(culprit.begin(), culprit.end());
  changed.notify_all();
}

bool RankWatch::State::is_silent(Seen& last, const RankStatus& status) const {
  if (std::exchange(last.beat, status.beat) != status.beat) last.at = Clock::now();
  return Clock::now() - last.at > patience;
}

void RankWatch::State::suspect() {
  const std::lock_guard lock(mutex);
  if (!asked && told.empty()) asked = {.reason = "one of them says nothing any more"};
}

// Those that were suspected have spoken again.
void RankWatch::State::acquit() {
  next_seen.at = Clock::now();
  for (Seen& last : seen) last.at = Clock::now();
}

// Each rank looks after the next one, whatever both do: then all are looked after, at the price of one
// question each, since among any that are lost is one that comes after a rank that is not.
void RankWatch::State::look_after_next() {
  const size_t next = static_cast<size_t>(rank + 1) % met.ranks.size();
  const RankStatus status = read_status(next);
  if (rank != 0) {
    const std::string does = next == 0 ? status.what : read_status(0).what;
    const std::lock_guard lock(mutex);
    if (!does.empty()) first_does = does;
  }
  if (status.condition == RankCondition::runs && is_silent(next_seen, status)) suspect();
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
  for (size_t other = 0; other < seen.size(); ++other) {
    Seen& last = seen[other];
    if (last.is_here) continue;  // not asked again: there may be many ranks
    const RankStatus status = read_status(other);
    last.is_here = static_cast<int64_t>(other) == rank || status.arrivals >= wanted ||
                   status.condition == RankCondition::has_left;
    if (last.is_here) continue;
    ++missing;
    if (is_silent(last, status)) suspect();
  }
  const std::lock_guard lock(mutex);
  if (missing == 0) all_arrived = wanted;
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
                                    const std::vector<RankStatus>& after, const Question& question) const {
  std::vector<int64_t> silent, late;
  const int64_t own_collectives = after[static_cast<size_t>(rank)].collectives;
  int64_t fewest = own_collectives;
  for (size_t other = 0; other < after.size(); ++other) {
    const auto number = static_cast<int64_t>(other);
    const RankStatus& status = after[other];
    if (status.condition == RankCondition::abandons) return concat(name_of(number), " ended: ", status.what);
    if (number == rank || status.condition != RankCondition::runs) continue;
    if (status.beat == before[other].beat) silent.push_back(number);
    if (status.collectives < fewest) late.clear();
    fewest = std::min(fewest, status.collectives);
    if (status.collectives == fewest && fewest < own_collectives) late.push_back(number);
  }
  const auto last = [&](int64_t other) { return after[static_cast<size_t>(other)].what; };
  if (!silent.empty()) {
    const std::vector<int64_t> rest(silent.begin() + 1, silent.end());
    const std::string more =
        rest.empty()
            ? ""
            : concat(rest.size() == 1 ? ", and so was rank " : ", and so were ranks ", list_of(rest));
    return concat(name_of(silent.front()), " was ended, hangs or cannot be reached", more,
                  "; the last that it told: it ", last(silent.front()));
  }
  if (!question.is_certain) return "";
  if (!late.empty())
    return concat(name_of(late.front()), " does not come to what the others wait for; it ",
                  last(late.front()));
  return concat("the ranks have lost each other: ", question.reason);
}

// Looks who still tells something. Empty: everyone, and nothing has failed.
std::string RankWatch::State::find_culprit(Question question) {
  const std::vector<RankStatus> before = read_statuses();
  const auto end = Clock::now() + 5 * beat / 2;  // a rank that is there says so twice
  while (Clock::now() < end) {
    std::this_thread::sleep_for(beat / 4);
    beat_once();
    const std::lock_guard lock(mutex);
    if (!told.empty()) return told;
  }
  const std::vector<RankStatus> after = read_statuses();
  {
    const std::lock_guard lock(mutex);
    if (asked) question = *std::exchange(asked, std::nullopt);  // meanwhile a collective has failed
  }
  const std::string culprit = blame(before, after, question);
  culprit.empty() ? acquit() : tell_culprit(culprit);
  return culprit;
}

void RankWatch::State::run() {
  std::unique_lock lock(mutex);
  while (!ending) {
    const std::optional<Question> question = std::exchange(asked, std::nullopt);
    lock.unlock();
    std::string culprit;
    bool has_store = true;
    try {
      beat_once();
      look_after_next();
      look_for_arrivals();
      if (question) culprit = find_culprit(*question);
    } catch (const std::exception&) {
      has_store = false;
    }
    lock.lock();
    if (!has_store) culprit = lost_store("what keeps the meeting place, was ended or cannot be reached");
    if (!culprit.empty() && told.empty()) told = culprit;
    changed.notify_all();
    if (!has_store) break;
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

// Beside run(), without the store, which may hang: finds out that it does, and ends a process whose work does
// not hear of what was told. Counts its own rounds and no time, which also passes while the process is
// stopped.
void RankWatch::State::guard() {
  std::unique_lock lock(mutex);
  int64_t seen_rounds = -1, without_answer = 0, unheard = 0;
  while (!changed.wait_for(lock, beat, [&] { return ending; })) {
    without_answer = std::exchange(seen_rounds, rounds) == rounds ? without_answer + 1 : 0;
    if (told.empty() && without_answer * beat > patience) {
      told = lost_store("the way to it, does not answer");
      changed.notify_all();
    }
    if (told.empty() || !if_unheard || ++unheard * beat <= grace) continue;
    ends_process = true;
    const std::string culprit = told;
    lock.unlock();
    tell_end(RankCondition::failed, "");
    if_unheard(culprit);
    return;
  }
}

// Rank 0 may keep the store, which the others still ask.
void RankWatch::State::wait_until_others_know() {
  const auto end_of_patience = Clock::now() + 4 * beat;
  while (Clock::now() < end_of_patience) {
    const std::vector<RankStatus> statuses = read_statuses();
    const bool all = std::ranges::all_of(statuses, [&](const RankStatus& status) {
      return &status == &statuses[static_cast<size_t>(rank)] || status.condition != RankCondition::runs;
    });
    if (all) return;
    std::this_thread::sleep_for(beat / 4);
  }
}

void RankWatch::State::end(RankCondition condition, const std::string& what) {
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return !ends_process; });  // which does not come back
  }
  tell_end(condition, what);
}

void RankWatch::State::tell_end(RankCondition condition, const std::string& what) {
  {
    std::unique_lock lock(mutex);
    ending = true;
    changed.notify_all();
    if (ended) return;
    own.condition = condition;
    own.what = what;
    // A thread that hangs in a connection is left behind.
    if (!changed.wait_for(lock, 4 * beat, [&] { return ended; })) return;
  }
  try {
    if (condition == RankCondition::abandons) tell_culprit(concat(name_of(rank), " ended: ", what));
    beat_once();
    if (is_last_with_store()) wait_until_others_know();
  } catch (const std::exception&) {  // the store is gone, and with it whom to tell
  }
}

RankWatch::RankWatch(Met met, int64_t rank, const WatchOptions& options)
    : state_(std::make_shared<State>(std::move(met), rank, options)) {
  state_->own.what = "begins";
  std::thread([state = state_] { state->run(); }).detach();
  std::thread([state = state_] { state->guard(); }).detach();
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
    state.asked = {.reason = reason, .is_certain = true};
    state.changed.notify_all();
    state.changed.wait_for(lock, 5 * state.beat, [&] { return !state.told.empty(); });
  }
  if (state.told.empty()) state.told = state.lost_store("the way to it, does not answer");
  return state.told;
}

void RankWatch::leave() {
  state_->end(RankCondition::has_left, "has done its part");
}

void RankWatch::abandon(const std::string& why) {
  state_->end(RankCondition::abandons, why);
}

void RankWatch::give_up() {
  state_->end(RankCondition::failed, "");
}

}  // namespace cavmae
