#include "cavmae/data/epoch_reader.h"

#include <exception>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/core/random.h"
#include "cavmae/core/text.h"
#include "cavmae/core/time_limit.h"
#include "cavmae/data/batch_parts.h"
#include "cavmae/data/epoch_order.h"

namespace cavmae {

EpochReader::EpochReader(const Inputs& inputs, const EpochOptions& epoch) : in_(inputs), epoch_(epoch) {
  const auto num_clips = static_cast<int64_t>(inputs.clips.size());
  const BatchParts parts(num_clips, inputs.batch_size, epoch);
  const std::vector<int64_t> whole =
      epoch_order(num_clips, epoch, inputs.supervision ? inputs.supervision->weights : std::vector<double>());
  order_ = parts.own(whole);
  occurrence_ = parts.own(occurrences(whole, num_clips));
  run_end_.resize(order_.size());
  const bool may_run = !in_.supervision && in_.view.is_deterministic() && in_.clips.has_windows();
  for (int64_t p = num_positions() - 1; p >= 0; --p) {
    const bool goes_on =
        may_run && p + 1 < num_positions() && follows(in_.clips[order_[p]], in_.clips[order_[p + 1]]);
    run_end_[p] = goes_on ? run_end_[p + 1] : p + 1;
  }
}

ClipRun EpochReader::begin_run(int64_t position) const {
  ClipRun run{.end = run_end_.at(position), .windows = std::nullopt};
  if (run.end == position + 1) return run;
  std::vector<ClipSource> windows;
  for (int64_t p = position; p < run.end; ++p) windows.push_back(in_.clips[order_[p]]);
  run.windows.emplace(std::move(windows), in_.reader, in_.view, in_.need);
  return run;
}

Sample EpochReader::read_sample(int64_t position, ClipRun& run) const {
  if (run.windows) return std::move(run.windows->next().value().sample);
  const ClipSource& clip = in_.clips[order_[position]];
  uint64_t seed = mix_seed({epoch_.seed, static_cast<uint64_t>(epoch_.epoch), stable_hash(clip.id)});
  // A clip that is drawn again is seen another way.
  if (occurrence_[position] > 0) seed = mix_seed({seed, static_cast<uint64_t>(occurrence_[position])});
  if (!in_.supervision) return in_.reader->read(clip, in_.view, in_.need, seed);
  return read_labelled({.clips = in_.clips,
                        .supervision = *in_.supervision,
                        .reader = *in_.reader,
                        .view = in_.view,
                        .need = in_.need},
                       order_[position], seed);
}

ReadResult EpochReader::read(int64_t position, ClipRun& run) const {
  ReadResult result;
  const TimeLimit limit(in_.clip_timeout);
  try {
    result.sample = read_sample(position, run);
    limit.check_kept();
  } catch (const SideError& e) {
    result.bad_reason = e.what();
    result.bad_side = e.side();
    result.is_lacking = e.is_lacking();
  } catch (const MediaError& e) {
    result.bad_reason = e.what();
  } catch (...) {
    result.error = std::current_exception();
  }
  return result;
}

}  // namespace cavmae
