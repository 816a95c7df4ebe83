// Times what the ranges of one thread work on, in the forward and in the backward pass. It times what the
// thread does: for a device that works by itself these are the times at which work was given out.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace cavmae {

// Note [Work of the backward pass]: autograd numbers the nodes of its graph as they are made and reports, for
// each node that it runs, its number. The numbers at which scopes began and ended in the forward pass
// therefore show what a node works on, and nothing need be added to the graph. A scope that is opened while a
// node runs, as in a fused operator's own backward, lies inside what the node works on. What follows the last
// node is counted as that node's until the scope around the backward pass ends, so the caller has to open
// one. Every instant belongs to one path, so the times add up to the time that passed.

struct RangeTime {
  std::string path;  // the open scopes, outermost first: "decoder/attention"; "" outside of any
  double forward_seconds = 0.0;
  double backward_seconds = 0.0;  // inside autograd's nodes, recomputation included
};

class RangeTimer {
 public:
  // Listens to this thread until it is destroyed. One a thread at a time, and destroyed on the same thread.
  RangeTimer();
  ~RangeTimer();
  RangeTimer(const RangeTimer&) = delete;
  RangeTimer& operator=(const RangeTimer&) = delete;

  // Forgets what was measured. No graph made before may be run afterwards.
  void restart();
  // Up to now, in the order in which the paths were first met.
  std::vector<RangeTime> times();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cavmae
