// One pass over clips without augmentation, batch by batch: validation, embedding, classification, statistics
// and the report's examples are all made by it. Several ranks share the clips. One owner a pass; the sink is
// called by the thread that asked for it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/data/loader.h"
#include "cavmae/dist/world.h"
#include "cavmae/eval/failed_clips.h"

namespace cavmae {

// What becomes of the progress line after the pass.
enum class ProgressEnd { keep, clear };
// Whether a pass of which no clip could be read is an error.
enum class IfNoneRead { go_on, fail };

struct PassOptions {
  Need need = Need::both;
  ViewOptions view = {};
  LoaderOptions loader = {};
  std::filesystem::path cache_dir = {};  // may be empty: no cache
  torch::Device device = torch::kCPU;    // where batches are handed out
  std::string title = "reading";         // of the progress line
  bool show_progress = true;
  double line_interval_seconds = 10.0;  // between lines of progress where stderr is no terminal
  ProgressEnd progress_end = ProgressEnd::keep;
  IfNoneRead if_none_read = IfNoneRead::go_on;
  std::function<void()> meanwhile = {};  // called once, while the first clips are read; may be empty
  World& world = World::alone();         // all its ranks make the pass, each over its share of the clips
};

// Takes a batch whose `indices` are positions in the list of all clips.
using BatchSink = std::function<void(const Batch& batch)>;

enum class PassEnd { done, interrupted };  // interrupted: by a stop signal, on this rank

// A list of clips that may be passed over several times; a clip that cannot be read is reported to the log
// once.
class ClipPass {
 public:
  // `options.world` outlives this.
  ClipPass(const ClipList& clips, std::shared_ptr<const ClipReader> reader, const PassOptions& options,
           std::shared_ptr<Log> log);
  ~ClipPass();

  // Throws DataError past loader.max_bad_ratio of all ranks' clips (several ranks look at its end), and when
  // no rank could read a clip where that is an error.
  PassEnd for_each_batch(const BatchSink& sink);

  // Where this rank's share begins among the batches of all.
  int64_t first_batch() const;
  // Those of this rank's share that could not be read so far, once each.
  std::vector<BadClip> bad_clips() const;
  World& world() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Both of all ranks.
struct PassResult {
  PassEnd end = PassEnd::done;
  std::vector<BadClip> failed = {};
  std::vector<BadClip> lacking = {};  // clips that were read by one side because they have no other
};

// One pass of its own. Throws DataError past loader.max_bad_ratio.
PassResult for_each_batch(const ClipList& clips, const InputSpec& spec, const PassOptions& options,
                          const BatchSink& sink, std::shared_ptr<Log> log);

// The same whatever options.need says: each clip once, with both modalities where it has them, else by its
// audio or by its video. A side that could not be read is a failure of its clip, which is named once with
// that side.
PassResult for_each_batch_any_modality(const ClipList& clips, const InputSpec& spec,
                                       const PassOptions& options, const BatchSink& sink,
                                       std::shared_ptr<Log> log);

// Positions of the clips whose lists name both modalities, or one alone.
struct ClipsByModality {
  std::vector<int64_t> both, audio_only, video_only;
};
ClipsByModality sort_by_modality(const ClipList& clips);

// Throws Error where a pass was interrupted whose results are worth nothing unless they are whole.
void check_complete(const PassResult& result);

}  // namespace cavmae
