// What the training loop does after a step: what each rank would, and by World::agree() what all then do. A
// plain value.
#pragma once

#include <cstdint>

#include "cavmae/dist/world.h"

namespace cavmae {

struct StepDecision {
  bool not_finite = false;  // the step changed nothing, and the run ends
  bool stop = false;        // a signal asked for it
  bool save = false;
  bool has_batch = false;  // for another step in this epoch
  // Of the epoch so far, by the loader's account.
  int64_t clips_seen = 0;
  int64_t clips_bad = 0;

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v(o.not_finite, Agreement::any);
    v(o.stop, Agreement::any);
    v(o.save, Agreement::any);
    v(o.has_batch, Agreement::all);
    v(o.clips_seen);
    v(o.clips_bad);
  }
};

}  // namespace cavmae
