#include "cavmae/eval/clip_passes.h"

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <optional>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/core/progress.h"
#include "cavmae/core/stop_signal.h"
#include "cavmae/core/text.h"
#include "cavmae/data/device_feed.h"

namespace cavmae {
namespace {

using Positions = std::vector<int64_t>;

struct Interrupted {
  bool by_signal = false;

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v(o.by_signal, Agreement::any);
  }
};

// What a rank has of a pass: whole batches, one after another.
struct Share {
  Positions positions;
  int64_t first_batch = 0;
};

Share share_of(const Positions& positions, const PassOptions& options) {
  const auto clips = static_cast<int64_t>(positions.size());
  const int64_t rank = options.world.rank(), ranks = options.world.size();
  if (ranks == 1) return {.positions = positions};
  const int64_t size = std::max<int64_t>(1, options.loader.batch_size);
  const int64_t batches = (clips + size - 1) / size;
  const int64_t first = batches * rank / ranks, end = batches * (rank + 1) / ranks;
  return {.positions = Positions(positions.begin() + std::min(clips, first * size),
                                 positions.begin() + std::min(clips, end * size)),
          .first_batch = first};
}

Positions all_positions(size_t n) {
  Positions out(n);
  std::iota(out.begin(), out.end(), 0);
  return out;
}

// How far this rank has come, shown and told to the others.
class PassProgress {
 public:
  PassProgress(const PassOptions& options, int64_t total)
      : world_(options.world),
        title_(options.title),
        end_(options.progress_end),
        total_(total),
        meanwhile_(options.meanwhile),
        bar_({.title = options.title,
              .unit = "clips",
              .total = total,
              .line_interval_seconds = options.line_interval_seconds,
              .quiet = !options.show_progress}) {
    tell();
  }

  // The first clips are being read.
  void has_begun() {
    if (meanwhile_) std::exchange(meanwhile_, {})();
  }
  void add(const Batch& batch) {
    bar_.update(read_ += static_cast<int64_t>(batch.indices.size()));
    tell();
  }
  void finish(PassEnd end) {
    if (end_ == ProgressEnd::clear) return bar_.clear();
    if (end == PassEnd::done) bar_.update(total_);  // with those that could not be read
    bar_.finish();
  }
  int64_t read() const { return read_; }

 private:
  void tell() {
    if (world_.size() > 1) world_.does(concat("is ", title_, ", at clip ", read_, " of its ", total_));
  }

  World& world_;
  std::string title_;
  ProgressEnd end_;
  int64_t total_, read_ = 0;
  std::function<void()> meanwhile_;  // empty once called
  Progress bar_;
};

// One pass of a loader whose clips are those at `positions` of the whole list.
PassEnd pass_over(Loader& loader, const Positions& positions, const PassOptions& options,
                  PassProgress& progress, const BatchSink& sink) {
  DeviceFeed feed(loader, {.device = options.device});
  feed.start_epoch({.shuffle = false, .drop_last = false});
  progress.has_begun();
  while (auto batch = feed.next()) {
    if (StopSignal::requested()) return PassEnd::interrupted;
    options.world.check_all_live();
    if (batch->empty()) continue;
    for (int64_t& index : batch->indices) index = positions[static_cast<size_t>(index)];
    sink(*batch);
    progress.add(*batch);
  }
  return PassEnd::done;
}

// What all ranks come to. Every rank calls it after its share.
PassEnd end_of_all(PassEnd own, const PassOptions& options, const PassProgress& progress, size_t num_clips) {
  World& world = options.world;
  if (world.size() > 1) world.does(concat("has done its share of ", options.title));
  world.wait_for_all();  // shares take their time
  if (world.agree(Interrupted{own == PassEnd::interrupted}).by_signal) return PassEnd::interrupted;
  if (options.if_none_read == IfNoneRead::go_on) return PassEnd::done;
  const torch::Tensor read = torch::tensor({progress.read()}, torch::kInt64);
  world.all_reduce(read);
  CAVMAE_CHECK_AS(DataError, read.item<int64_t>() > 0, options.title, ": none of the ", num_clips,
                  " clips could be read");
  return PassEnd::done;
}

}  // namespace

struct ClipPass::State {
  State(const ClipList& clips, std::shared_ptr<const ClipReader> reader, const PassOptions& pass,
        std::shared_ptr<Log> log)
      : options(pass), num_clips(clips.size()), share(share_of(all_positions(clips.size()), pass)) {
    if (share.positions.empty()) return;  // more ranks than batches
    LoaderOptions of_share = pass.loader;
    if (pass.world.size() > 1) of_share.max_bad_ratio = 1.0;  // the limit is that of all ranks' clips
    loader.emplace(clips.at(share.positions), std::move(reader), pass.view, pass.need, of_share,
                   std::move(log));
  }

  PassOptions options;
  size_t num_clips;
  Share share;
  std::optional<Loader> loader;  // of the share
};

ClipPass::ClipPass(const ClipList& clips, std::shared_ptr<const ClipReader> reader,
                   const PassOptions& options, std::shared_ptr<Log> log)
    : state_(std::make_unique<State>(clips, std::move(reader), options, std::move(log))) {}

ClipPass::~ClipPass() = default;

PassEnd ClipPass::for_each_batch(const BatchSink& sink) {
  State& s = *state_;
  PassProgress progress(s.options, static_cast<int64_t>(s.share.positions.size()));
  const PassEnd own =
      s.loader ? pass_over(*s.loader, s.share.positions, s.options, progress, sink) : PassEnd::done;
  progress.finish(own);
  const PassEnd end = end_of_all(own, s.options, progress, s.num_clips);
  if (end == PassEnd::done && s.options.world.size() > 1)
    check_failed_share(gather_bad_clips(s.options.world, bad_clips()), s.num_clips, s.options.loader);
  return end;
}

int64_t ClipPass::first_batch() const {
  return state_->share.first_batch;
}

std::vector<BadClip> ClipPass::bad_clips() const {
  return state_->loader ? state_->loader->bad_clips() : std::vector<BadClip>();
}

World& ClipPass::world() const {
  return state_->options.world;
}

PassResult for_each_batch(const ClipList& clips, const InputSpec& spec, const PassOptions& options,
                          const BatchSink& sink, std::shared_ptr<Log> log) {
  ClipPass pass(clips, std::make_shared<const ClipReader>(spec, options.cache_dir, log), options, log);
  const PassEnd end = pass.for_each_batch(sink);
  return {.end = end, .failed = gather_bad_clips(options.world, pass.bad_clips())};
}

PassResult for_each_batch_any_modality(const ClipList& clips, const InputSpec& spec,
                                       const PassOptions& options, const BatchSink& sink,
                                       std::shared_ptr<Log> log) {
  const auto reader = std::make_shared<const ClipReader>(spec, options.cache_dir, log);
  const ClipsByModality groups = sort_by_modality(clips);
  const Positions with_both = share_of(groups.both, options).positions;
  const Positions with_audio = share_of(groups.audio_only, options).positions;
  const Positions with_video = share_of(groups.video_only, options).positions;
  PassProgress progress(options,
                        static_cast<int64_t>(with_both.size() + with_audio.size() + with_video.size()));
  LoaderOptions patient = options.loader;
  patient.max_bad_ratio = 1.0;
  PassEnd end = PassEnd::done;
  const auto go = [&](const Positions& positions, Need need) -> std::map<int64_t, BadClip> {
    if (positions.empty() || end == PassEnd::interrupted) return {};
    Loader loader(clips.at(positions), reader, options.view, need, patient, null_log());
    end = pass_over(loader, positions, options, progress, sink);
    return by_position(loader.bad_clips(), clips, positions);
  };
  std::map<int64_t, LostSides> lost;
  for (auto& [position, clip] : go(with_audio, Need::audio)) lost[position].audio = clip;
  for (auto& [position, clip] : go(with_video, Need::video)) lost[position].video = clip;
  const auto in_part = go(with_both, Need::both);
  Positions by_audio, by_video;
  for (const auto& [position, clip] : in_part) {
    if (clip.side == ClipSide::audio) lost[position].audio = clip;
    if (clip.side != ClipSide::audio) lost[position].video = clip;
    (clip.side == ClipSide::audio ? by_video : by_audio).push_back(position);
  }
  for (auto& [position, clip] : go(by_audio, Need::audio)) {
    lost[position].audio = clip;
    if (in_part.at(position).side == ClipSide::both) {
      lost[position].video.reset();
      by_video.push_back(position);
    }
  }
  std::ranges::sort(by_video);
  for (auto& [position, clip] : go(by_video, Need::video)) lost[position].video = clip;
  progress.finish(end);
  PassResult result;
  result.end = end_of_all(end, options, progress, clips.size());
  const FailedClips account = account_for(lost, clips);
  result.failed = gather_bad_clips(options.world, account.failed);
  result.lacking = gather_bad_clips(options.world, account.lacking);
  for (const BadClip& clip : result.failed) log->warn("{}", to_line(clip));
  check_failed_share(result.failed, clips.size(), options.loader);
  return result;
}

ClipsByModality sort_by_modality(const ClipList& clips) {
  ClipsByModality out;
  for (size_t i = 0; i < clips.size(); ++i) {
    const ClipSource& clip = clips[i];
    const bool no_video = clip.video.empty() && clip.frames.empty();
    (no_video             ? out.audio_only
     : clip.audio.empty() ? out.video_only
                          : out.both)
        .push_back(static_cast<int64_t>(i));
  }
  return out;
}

void check_complete(const PassResult& result) {
  CAVMAE_CHECK(result.end == PassEnd::done, "stopped by a signal before every clip was read");
}

}  // namespace cavmae
