#include "cavmae/train/run_state.h"

#include "cavmae/core/error.h"
#include "cavmae/data/ids_hash.h"

namespace cavmae {

void IntervalSums::add(const StepMeans& step_sums, double step_gradient_norm, double step_seconds) {
  ++steps;
  samples += step_sums.clips;
  gradient_norm += step_gradient_norm;
  seconds += step_seconds;
  means.add(step_sums);
}

DataFingerprint fingerprint(const ClipList& clips) {
  return {.clips = static_cast<int64_t>(clips.size()), .hash = hash_of_ids(clips)};
}

void check_same_data(const DataFingerprint& saved, const DataFingerprint& now) {
  CAVMAE_CHECK_AS(DataError, saved.clips == now.clips && saved.hash == now.hash, "the run learns from ",
                  saved.clips, " clips, --data gives ",
                  saved.clips == now.clips ? "as many others" : concat(now.clips),
                  "; give the same --data, or start anew in another --out");
}

}  // namespace cavmae
