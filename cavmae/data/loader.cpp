#include "cavmae/data/loader.h"

#include <chrono>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"
#include "cavmae/data/epoch_loading.h"

namespace cavmae {

using Clock = std::chrono::steady_clock;

void LoaderOptions::validate() const {
  Problems problems;
  problems.require(batch_size >= 1, "batch_size is ", batch_size, "; it must be at least 1");
  problems.require(num_workers >= 0 && num_workers <= 1024, "num_workers is ", num_workers,
                   "; allowed are 0 (read in the calling thread) to 1024");
  problems.require(prefetch_batches >= 1, "prefetch_batches is ", prefetch_batches,
                   "; it must be at least 1");
  problems.require(max_bad_ratio >= 0 && max_bad_ratio <= 1, "max_bad_ratio is ", max_bad_ratio,
                   "; allowed are 0 to 1");
  problems.require(clip_timeout >= 0, "clip_timeout is ", clip_timeout,
                   "; it must be a number of seconds, or 0 for none");
  problems.throw_if_any("the loader's options do not fit");
}

struct Loader::State {
  LoadingSource source;
  std::shared_ptr<BadClipLog> bad;
  double wait_seconds = 0.0;
  // The one that follows, and what is read of it while the last batches of this one are worked on.
  std::optional<EpochOptions> next_epoch;
  std::unique_ptr<EpochLoading> current, upcoming;

  void start(const EpochOptions& epoch);
  void read_ahead();
};

// Takes over what was read ahead of this epoch.
void Loader::State::start(const EpochOptions& epoch) {
  current.reset();
  wait_seconds = 0.0;
  if (upcoming && upcoming->epoch() == epoch) {
    current = std::move(upcoming);
    return;
  }
  upcoming.reset();
  current = std::make_unique<EpochLoading>(source, epoch, bad);
}

void Loader::State::read_ahead() {
  if (!next_epoch || source.options.num_workers == 0 || !current->has_begun_all()) return;
  upcoming = std::make_unique<EpochLoading>(source, *next_epoch, bad);
  next_epoch.reset();
}

Loader::Loader(ClipList clips, std::shared_ptr<const ClipReader> reader, ViewOptions view, Need need,
               LoaderOptions options, std::shared_ptr<Log> log) {
  options.validate();
  CAVMAE_CHECK_AS(DataError, !clips.empty(), "the data hold no clips");
  // A batch has one shape: a clip that lacks a side cannot stand beside one that has it.
  CAVMAE_CHECK(need != Need::any, "Loader: needs both, audio or video; 'any' is for single clips");
  state_ = std::make_unique<State>();
  state_->source = {
      .clips = std::move(clips), .reader = std::move(reader), .view = view, .need = need, .options = options};
  state_->bad = std::make_shared<BadClipLog>(std::move(log));
}

void Loader::supervise(Supervision supervision) {
  CAVMAE_CHECK(!state_->current, "Loader: supervise() comes before the first epoch");
  const size_t num_clips = clips().size();
  CAVMAE_CHECK(supervision.classes.size() == num_clips &&
                   (supervision.weights.empty() || supervision.weights.size() == num_clips),
               "Loader: labels of ", supervision.classes.size(), " clips and weights of ",
               supervision.weights.size(), " for ", num_clips, " clips");
  supervision.options.validate();
  state_->source.supervision = std::move(supervision);
}

Loader::~Loader() = default;

void Loader::start_epoch(const EpochOptions& options, const std::optional<EpochOptions>& next) {
  const auto num_clips = static_cast<int64_t>(clips().size());
  CAVMAE_CHECK(options.epoch >= 0 && options.start_position >= 0 && options.start_position <= num_clips,
               "Loader: epoch ", options.epoch, ", position ", options.start_position, " of ", num_clips,
               " clips: the data are not those that the position was taken from");
  state_->start(options);
  state_->next_epoch = next;
}

std::optional<Batch> Loader::next() {
  State& state = *state_;
  if (!state.current) return std::nullopt;
  const auto begin = Clock::now();
  std::optional<Batch> batch = state.current->next();
  state.wait_seconds += std::chrono::duration<double>(Clock::now() - begin).count();
  state.read_ahead();
  return batch;
}

ClipAccount Loader::account() const {
  return state_->current ? state_->current->account() : ClipAccount{};
}

const ClipList& Loader::clips() const {
  return state_->source.clips;
}

double Loader::wait_seconds() const {
  return state_->wait_seconds;
}

std::vector<BadClip> Loader::bad_clips() const {
  return state_->bad->all();
}

}  // namespace cavmae
