#include "cavmae/data/loader.h"

#include <chrono>
#include <condition_variable>
#include <map>
#include <thread>
#include <utility>
#include <variant>

#include "cavmae/core/error.h"
#include "cavmae/core/mutex.h"
#include "cavmae/core/options.h"
#include "cavmae/data/bad_clips.h"
#include "cavmae/data/batch_assembler.h"
#include "cavmae/data/epoch_reader.h"
#include "cavmae/data/worker_thread.h"

namespace cavmae {
namespace {

using Clock = std::chrono::steady_clock;
using Output = BatchAssembler::Output;
using Item = std::variant<Batch, std::exception_ptr, EndOfEpoch>;

Batch join_samples(SampleList list) {
  Batch batch;
  batch.indices = std::move(list.indices);
  batch.next_position = list.next_position;
  std::vector<torch::Tensor> audio, video, targets;
  for (const Sample& sample : list.samples) {
    if (sample.audio.defined()) audio.push_back(sample.audio);
    if (sample.video.defined()) video.push_back(sample.video);
    if (sample.target.defined()) targets.push_back(sample.target);
  }
  if (!audio.empty()) batch.audio = at::stack(audio);
  if (!video.empty()) batch.video = at::stack(video);
  if (!targets.empty()) batch.targets = at::stack(targets);
  return batch;
}

// An output with its tensors joined; what goes wrong in that is the item.
Item finish(Output output) {
  try {
    if (auto* list = std::get_if<SampleList>(&output)) return join_samples(std::move(*list));
    if (auto* error = std::get_if<std::exception_ptr>(&output)) return *error;
    return EndOfEpoch{};
  } catch (...) {
    return std::current_exception();
  }
}

}  // namespace

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
  State(const LoaderOptions& loader_options, std::shared_ptr<Log> log)
      : options(loader_options), bad(loader_options.max_bad_ratio, std::move(log)) {}

  // Set before the workers start and not changed while they run.
  ClipList clips;
  std::shared_ptr<const ClipReader> reader;
  ViewOptions view;
  Need need = Need::both;
  LoaderOptions options;
  std::optional<Supervision> supervision;
  EpochOptions epoch;
  std::optional<EpochReader> epoch_reader;

  // The consumer's own.
  std::vector<std::thread> workers;
  bool running = false;
  double wait_seconds = 0.0;
  ClipRun run;  // without workers

  mutable Mutex mutex;
  std::condition_variable may_go_on_reading;  // for workers: room for more clips, or the end
  std::condition_variable item_ready;         // for the consumer
  BadClips bad CAVMAE_GUARDED_BY(mutex);
  std::optional<BatchAssembler> assembler CAVMAE_GUARDED_BY(mutex);
  bool stopping CAVMAE_GUARDED_BY(mutex) = false;
  int64_t next_ticket CAVMAE_GUARDED_BY(mutex) = 0;  // where the run begins that the next free worker reads
  int64_t num_begun CAVMAE_GUARDED_BY(mutex) = 0;    // clips that are or were read
  int64_t num_consumed CAVMAE_GUARDED_BY(mutex) = 0;
  int64_t num_outputs CAVMAE_GUARDED_BY(mutex) = 0;
  int64_t next_item CAVMAE_GUARDED_BY(mutex) = 0;
  std::map<int64_t, Item> ready CAVMAE_GUARDED_BY(mutex);      // by number; joined in any order
  std::exception_ptr worker_failure CAVMAE_GUARDED_BY(mutex);  // of the machinery itself, such as no memory

  void start(const EpochOptions& new_epoch);
  void stop();
  void work();
  void work_unprotected();
  bool may_read() const CAVMAE_REQUIRES(mutex);
  bool may_go_on(int64_t position) const CAVMAE_REQUIRES(mutex);
  bool is_done() const CAVMAE_REQUIRES(mutex);
  Item wait_for_item();
  Item read_item();
};

// Clips under way (being read, waiting, or in a batch that nobody took yet) are bounded. A full batch always
// fits, so workers never wait for a consumer that waits for them.
bool Loader::State::may_read() const {
  const int64_t num_scanned = assembler->num_scanned(), num_good = assembler->num_good();
  const int64_t under_way = (num_begun - num_scanned) + (num_good - num_consumed);
  return under_way < options.prefetch_batches * options.batch_size + options.num_workers;
}

bool Loader::State::is_done() const {
  return stopping || assembler->ended() || next_ticket == epoch_reader->num_positions();
}

// In the middle of a run: the clip that is the next in order does not wait for those behind it.
bool Loader::State::may_go_on(int64_t position) const {
  const bool is_next = position == epoch.start_position + assembler->num_scanned();
  const int64_t in_batches = assembler->num_good() - num_consumed;
  return may_read() || (is_next && in_batches < options.prefetch_batches * options.batch_size);
}

void Loader::State::work_unprotected() {
  keep_torch_on_this_thread();
  ClipRun own;
  int64_t position = 0;
  MutexLock lock(mutex);
  while (true) {
    if (position == own.end) {
      while (!is_done() && !may_read()) lock.wait(may_go_on_reading);
      if (is_done()) return;
      position = next_ticket;
      own = epoch_reader->begin_run(position);
      next_ticket = own.end;
    } else {
      while (!stopping && !assembler->ended() && !may_go_on(position)) lock.wait(may_go_on_reading);
      if (stopping || assembler->ended()) return;
    }
    ++num_begun;
    lock.unlock();
    ReadResult result = epoch_reader->read(position, own);
    lock.lock();
    assembler->add(position++, std::move(result));
    while (auto output = assembler->take()) {
      const int64_t number = num_outputs++;
      lock.unlock();
      Item item = finish(std::move(*output));
      lock.lock();
      ready.emplace(number, std::move(item));
      item_ready.notify_one();
    }
    may_go_on_reading.notify_all();  // bad clips made room, or the epoch ended
  }
}

void Loader::State::work() {
  try {
    work_unprotected();
  } catch (...) {
    MutexLock lock(mutex);
    worker_failure = std::current_exception();
    item_ready.notify_one();
  }
}

void Loader::State::stop() {
  {
    MutexLock lock(mutex);
    stopping = true;
    may_go_on_reading.notify_all();
  }
  for (std::thread& worker : workers) worker.join();
  workers.clear();
  running = false;
}

void Loader::State::start(const EpochOptions& new_epoch) {
  stop();
  epoch = new_epoch;
  epoch_reader.emplace(EpochReader::Inputs{.clips = clips,
                                           .reader = reader,
                                           .supervision = supervision,
                                           .view = view,
                                           .need = need,
                                           .clip_timeout = options.clip_timeout},
                       epoch);
  run = {.end = epoch.start_position, .windows = std::nullopt};
  wait_seconds = 0.0;
  {
    MutexLock lock(mutex);
    bad.start_epoch(static_cast<int64_t>(clips.size()));
    assembler.emplace(BatchAssembler::Inputs{.order = epoch_reader->order(), .clips = clips, .bad = bad},
                      options.batch_size, epoch);
    stopping = false;
    next_ticket = epoch.start_position;
    num_begun = num_consumed = num_outputs = next_item = 0;
    ready.clear();
    worker_failure = nullptr;
    // Nothing left to read: no worker would ever find the end.
    if (auto output = assembler->take()) ready.emplace(num_outputs++, finish(std::move(*output)));
  }
  running = true;
  for (int64_t i = 0; i < options.num_workers; ++i) workers.emplace_back([this] { work(); });
}

Item Loader::State::wait_for_item() {
  MutexLock lock(mutex);
  while (!ready.contains(next_item) && !worker_failure) lock.wait(item_ready);
  if (!ready.contains(next_item)) return worker_failure;
  Item item = std::move(ready.extract(next_item++).mapped());
  if (const auto* batch = std::get_if<Batch>(&item)) {
    num_consumed += static_cast<int64_t>(batch->indices.size());
    may_go_on_reading.notify_all();
  }
  return item;
}

// Without workers: the consumer reads what it needs.
Item Loader::State::read_item() {
  MutexLock lock(mutex);
  while (true) {
    if (ready.contains(next_item)) return std::move(ready.extract(next_item++).mapped());
    if (auto output = assembler->take()) return finish(std::move(*output));
    const int64_t position = next_ticket++;
    if (position == run.end) run = epoch_reader->begin_run(position);
    assembler->add(position, epoch_reader->read(position, run));
  }
}

Loader::Loader(ClipList clips, std::shared_ptr<const ClipReader> reader, ViewOptions view, Need need,
               LoaderOptions options, std::shared_ptr<Log> log) {
  options.validate();
  CAVMAE_CHECK_AS(DataError, !clips.empty(), "the data hold no clips");
  // A batch has one shape: a clip that lacks a side cannot stand beside one that has it.
  CAVMAE_CHECK(need != Need::any, "Loader: needs both, audio or video; 'any' is for single clips");
  state_ = std::make_unique<State>(options, std::move(log));
  state_->clips = std::move(clips);
  state_->reader = std::move(reader);
  state_->view = view;
  state_->need = need;
}

void Loader::supervise(Supervision supervision) {
  CAVMAE_CHECK(!state_->running, "Loader: supervise() comes before the first epoch");
  const size_t num_clips = state_->clips.size();
  CAVMAE_CHECK(supervision.classes.size() == num_clips &&
                   (supervision.weights.empty() || supervision.weights.size() == num_clips),
               "Loader: labels of ", supervision.classes.size(), " clips and weights of ",
               supervision.weights.size(), " for ", num_clips, " clips");
  supervision.options.validate();
  state_->supervision = std::move(supervision);
}

Loader::~Loader() {
  state_->stop();
}

void Loader::start_epoch(const EpochOptions& options) {
  const auto num_clips = static_cast<int64_t>(state_->clips.size());
  CAVMAE_CHECK(options.epoch >= 0 && options.start_position >= 0 && options.start_position <= num_clips,
               "Loader: epoch ", options.epoch, ", position ", options.start_position, " of ", num_clips,
               " clips: the data are not those that the position was taken from");
  state_->start(options);
}

std::optional<Batch> Loader::next() {
  State& state = *state_;
  if (!state.running) return std::nullopt;
  const auto begin = Clock::now();
  Item item = state.options.num_workers > 0 ? state.wait_for_item() : state.read_item();
  state.wait_seconds += std::chrono::duration<double>(Clock::now() - begin).count();
  if (auto* batch = std::get_if<Batch>(&item)) return std::move(*batch);
  state.stop();
  if (auto* error = std::get_if<std::exception_ptr>(&item)) std::rethrow_exception(*error);
  return std::nullopt;
}

const ClipList& Loader::clips() const {
  return state_->clips;
}

double Loader::wait_seconds() const {
  return state_->wait_seconds;
}

std::vector<BadClip> Loader::bad_clips() const {
  MutexLock lock(state_->mutex);
  return state_->bad.all();
}

}  // namespace cavmae
