// Whether the other ranks are alive, and which one is to blame when a collective fails: every few seconds
// each rank tells the store that it is there, how many collectives it has come to and what it does, and looks
// whether the next one still does. Private to this folder. Safe from any thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cavmae/dist/meeting.h"

namespace cavmae {

struct WatchOptions {
  std::chrono::milliseconds timeout{};
  // Is called by a thread of the watch where this rank has not begun to end when the timeout is nearly over
  // since another was lost; ends the process. May be empty.
  std::function<void(const std::string& culprit)> if_unheard = {};
};

class RankWatch {
 public:
  // Begins to tell. From here on nobody else uses the store.
  RankWatch(Met met, int64_t rank, const WatchOptions& options);
  ~RankWatch();
  RankWatch(const RankWatch&) = delete;
  RankWatch& operator=(const RankWatch&) = delete;

  // How long culprit() and giving up may take together.
  static std::chrono::milliseconds time_to_tell(std::chrono::milliseconds timeout);

  void does(const std::string& what);
  void comes_to_collective();

  // This rank has come to where all meet, however long that takes; and whether all have come as often.
  void arrive();
  bool all_are_here() const;

  // Why others have ended or are about to, as one of them told; empty: nobody has. A rank that says nothing
  // for half of the timeout is told by the one before it.
  std::string told() const;
  // Who is to blame that this rank's collective failed for `reason`, as a sentence; the others are told.
  std::string culprit(const std::string& reason);

  // This rank ends: having done its part, because of `why`, or because another one is to blame. Returns when
  // the others know, or cannot be told.
  void leave();
  void abandon(const std::string& why);
  void give_up();

 private:
  struct State;
  std::shared_ptr<State> state_;  // shared with a thread that may hang in a connection
};

}  // namespace cavmae
