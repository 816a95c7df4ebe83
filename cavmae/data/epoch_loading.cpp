#include "cavmae/data/epoch_loading.h"

#include <condition_variable>
#include <map>
#include <thread>
#include <utility>
#include <variant>

#include "cavmae/core/mutex.h"
#include "cavmae/data/batch_assembler.h"
#include "cavmae/data/epoch_reader.h"
#include "cavmae/data/worker_thread.h"

namespace cavmae {
namespace {

struct Item {
  std::variant<Batch, std::exception_ptr, EndOfEpoch> value = EndOfEpoch{};
  ClipAccount account = {};  // of the clips up to it
};
using Output = BatchAssembler::Output;

Batch join_samples(SampleList list) {
  Batch batch;
  batch.indices = std::move(list.indices);
  batch.next_position = list.next_position;
  batch.number = list.number;
  batch.rows = std::move(list.rows);
  batch.size = list.size;
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

// How many clips of an epoch are read here, in the account of bad ones.
int64_t own_clips(const LoadingSource& source, const EpochOptions& epoch) {
  const auto clips = static_cast<int64_t>(source.clips.size());
  return part_begin(clips, epoch.part.rank + 1, epoch.part.ranks) -
         part_begin(clips, epoch.part.rank, epoch.part.ranks);
}

// An output with its tensors joined; what goes wrong in that is the item.
Item finish(Output output, const ClipAccount& account) {
  try {
    if (auto* list = std::get_if<SampleList>(&output)) return {join_samples(std::move(*list)), account};
    if (auto* error = std::get_if<std::exception_ptr>(&output)) return {*error, account};
    return {EndOfEpoch{}, account};
  } catch (...) {
    return {std::current_exception(), account};
  }
}

}  // namespace

struct EpochLoading::State {
  State(const LoadingSource& source_of_clips, const EpochOptions& of_epoch, std::shared_ptr<BadClipLog> log);

  // Not changed while the workers run.
  const LoadingSource& source;
  const EpochOptions epoch;
  const EpochReader epoch_reader;
  const int64_t most_clips;  // of a batch, that are read here

  // The consumer's own.
  std::vector<std::thread> workers;
  bool running = true;
  ClipRun run;  // without workers

  mutable Mutex mutex;
  std::condition_variable may_go_on_reading;  // for workers: room for more clips, or the end
  std::condition_variable item_ready;         // for the consumer
  BadClips bad CAVMAE_GUARDED_BY(mutex);
  BatchAssembler assembler CAVMAE_GUARDED_BY(mutex);
  ClipAccount account CAVMAE_GUARDED_BY(mutex);  // as of the last item
  bool stopping CAVMAE_GUARDED_BY(mutex) = false;
  int64_t next_ticket CAVMAE_GUARDED_BY(mutex) = 0;  // where the run begins that the next free worker reads
  int64_t num_begun CAVMAE_GUARDED_BY(mutex) = 0;    // clips that are or were read
  int64_t num_consumed CAVMAE_GUARDED_BY(mutex) = 0;
  int64_t num_outputs CAVMAE_GUARDED_BY(mutex) = 0;
  int64_t next_item CAVMAE_GUARDED_BY(mutex) = 0;
  std::map<int64_t, Item> ready CAVMAE_GUARDED_BY(mutex);      // by number; joined in any order
  std::exception_ptr worker_failure CAVMAE_GUARDED_BY(mutex);  // of the machinery itself, such as no memory

  void start();
  void stop();
  void work();
  void work_unprotected();
  bool may_read() const CAVMAE_REQUIRES(mutex);
  bool may_go_on(int64_t position) const CAVMAE_REQUIRES(mutex);
  bool is_done() const CAVMAE_REQUIRES(mutex);
  Item wait_for_item();
  Item read_item();
};

EpochLoading::State::State(const LoadingSource& source_of_clips, const EpochOptions& of_epoch,
                           std::shared_ptr<BadClipLog> log)
    : source(source_of_clips),
      epoch(of_epoch),
      epoch_reader({.clips = source.clips,
                    .reader = source.reader,
                    .supervision = source.supervision,
                    .view = source.view,
                    .need = source.need,
                    .batch_size = source.options.batch_size,
                    .clip_timeout = source.options.clip_timeout},
                   epoch),
      most_clips((source.options.batch_size + epoch.part.ranks - 1) / epoch.part.ranks),
      bad(source.options.max_bad_ratio, own_clips(source, epoch), std::move(log),
          epoch.part.ranks == 1 ? BadClips::Limit::here : BadClips::Limit::of_ranks),
      assembler({.order = epoch_reader.order(), .clips = source.clips, .bad = bad}, source.options.batch_size,
                epoch) {}

// Clips under way (being read, waiting, or in a batch that nobody took yet) are bounded. A full batch always
// fits, so workers never wait for a consumer that waits for them.
bool EpochLoading::State::may_read() const {
  const int64_t num_scanned = assembler.num_scanned(), num_good = assembler.num_good();
  const int64_t under_way = (num_begun - num_scanned) + (num_good - num_consumed);
  return under_way < source.options.prefetch_batches * most_clips + source.options.num_workers;
}

bool EpochLoading::State::is_done() const {
  return stopping || assembler.ended() || next_ticket == epoch_reader.num_positions();
}

// In the middle of a run: the clip that is the next in order does not wait for those behind it.
bool EpochLoading::State::may_go_on(int64_t position) const {
  const bool is_next = position == assembler.num_scanned();
  const int64_t in_batches = assembler.num_good() - num_consumed;
  return may_read() || (is_next && in_batches < source.options.prefetch_batches * most_clips);
}

void EpochLoading::State::work_unprotected() {
  keep_torch_on_this_thread();
  ClipRun own;
  int64_t position = 0;
  MutexLock lock(mutex);
  while (true) {
    if (position == own.end) {
      while (!is_done() && !may_read()) lock.wait(may_go_on_reading);
      if (is_done()) return;
      position = next_ticket;
      own = epoch_reader.begin_run(position);
      next_ticket = own.end;
    } else {
      while (!stopping && !assembler.ended() && !may_go_on(position)) lock.wait(may_go_on_reading);
      if (stopping || assembler.ended()) return;
    }
    ++num_begun;
    lock.unlock();
    ReadResult result = epoch_reader.read(position, own);
    lock.lock();
    assembler.add(position++, std::move(result));
    while (auto output = assembler.take()) {
      const int64_t number = num_outputs++;
      const ClipAccount account = bad.account();
      lock.unlock();
      Item item = finish(std::move(*output), account);
      lock.lock();
      ready.emplace(number, std::move(item));
      item_ready.notify_one();
    }
    may_go_on_reading.notify_all();  // bad clips made room, or the epoch ended
  }
}

void EpochLoading::State::work() {
  try {
    work_unprotected();
  } catch (...) {
    MutexLock lock(mutex);
    worker_failure = std::current_exception();
    item_ready.notify_one();
  }
}

void EpochLoading::State::stop() {
  {
    MutexLock lock(mutex);
    stopping = true;
    may_go_on_reading.notify_all();
  }
  for (std::thread& worker : workers) worker.join();
  workers.clear();
  running = false;
}

void EpochLoading::State::start() {
  int64_t num_workers = source.options.num_workers;
  {
    MutexLock lock(mutex);
    // Nothing left to read: no worker would ever find the end.
    while (auto output = assembler.take())
      ready.emplace(num_outputs++, finish(std::move(*output), bad.account()));
    num_workers = std::min(num_workers, epoch_reader.num_positions() - next_ticket);
  }
  for (int64_t i = 0; i < num_workers; ++i) workers.emplace_back([this] { work(); });
}

Item EpochLoading::State::wait_for_item() {
  MutexLock lock(mutex);
  while (!ready.contains(next_item) && !worker_failure) lock.wait(item_ready);
  if (!ready.contains(next_item)) return {worker_failure, {}};
  Item item = std::move(ready.extract(next_item++).mapped());
  if (const auto* batch = std::get_if<Batch>(&item.value)) {
    num_consumed += static_cast<int64_t>(batch->indices.size());
    may_go_on_reading.notify_all();
  }
  return item;
}

// Without workers: the consumer reads what it needs.
Item EpochLoading::State::read_item() {
  MutexLock lock(mutex);
  while (true) {
    if (ready.contains(next_item)) return std::move(ready.extract(next_item++).mapped());
    if (auto output = assembler.take()) return finish(std::move(*output), bad.account());
    const int64_t position = next_ticket++;
    if (position == run.end) run = epoch_reader.begin_run(position);
    assembler.add(position, epoch_reader.read(position, run));
  }
}

EpochLoading::EpochLoading(const LoadingSource& source, const EpochOptions& epoch,
                           std::shared_ptr<BadClipLog> bad)
    : state_(std::make_unique<State>(source, epoch, std::move(bad))) {
  state_->start();
}

EpochLoading::~EpochLoading() {
  state_->stop();
}

std::optional<Batch> EpochLoading::next() {
  State& state = *state_;
  if (!state.running) return std::nullopt;
  Item item = state.source.options.num_workers > 0 ? state.wait_for_item() : state.read_item();
  {
    MutexLock lock(state.mutex);
    state.account = item.account;
  }
  if (auto* batch = std::get_if<Batch>(&item.value)) return std::move(*batch);
  state.stop();
  if (auto* error = std::get_if<std::exception_ptr>(&item.value)) std::rethrow_exception(*error);
  return std::nullopt;
}

ClipAccount EpochLoading::account() const {
  MutexLock lock(state_->mutex);
  return state_->account;
}

bool EpochLoading::has_begun_all() const {
  MutexLock lock(state_->mutex);
  return state_->is_done();
}

const EpochOptions& EpochLoading::epoch() const {
  return state_->epoch;
}

}  // namespace cavmae
