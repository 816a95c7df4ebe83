#include "cavmae/data/device_feed.h"

#include <condition_variable>
#include <deque>
#include <exception>
#include <thread>
#include <utility>
#include <variant>

#include "cavmae/core/mutex.h"
#include "cavmae/data/worker_thread.h"

namespace cavmae {
namespace {

// Nothing: the epoch's end.
using FeedItem = std::variant<std::optional<Batch>, std::exception_ptr>;

bool is_last(const FeedItem& item) {
  const auto* batch = std::get_if<std::optional<Batch>>(&item);
  return batch == nullptr || !batch->has_value();
}

}  // namespace

Batch batch_on(Batch batch, torch::Device device) {
  for (torch::Tensor* tensor : {&batch.audio, &batch.video, &batch.targets})
    *tensor = to_device(*tensor, device);
  return batch;
}

struct DeviceFeed::State {
  State(Loader& source, torch::Device where, int64_t most) : loader(source), device(where), num_ahead(most) {}

  Loader& loader;
  const torch::Device device;
  const int64_t num_ahead;
  std::thread copier;
  bool running = false;  // the consumer's own

  Mutex mutex;
  std::condition_variable may_go_on, item_ready;
  std::deque<FeedItem> items CAVMAE_GUARDED_BY(mutex);
  bool stopping CAVMAE_GUARDED_BY(mutex) = false;

  void stop();
  void copy_ahead();
  FeedItem take_and_copy(SideStream& stream);
  FeedItem wait_for_item();
};

void DeviceFeed::State::stop() {
  {
    MutexLock lock(mutex);
    stopping = true;
    may_go_on.notify_all();
  }
  if (copier.joinable()) copier.join();
  MutexLock lock(mutex);
  items.clear();
  stopping = false;
  running = false;
}

FeedItem DeviceFeed::State::take_and_copy(SideStream& stream) {
  try {
    std::optional<Batch> batch = loader.next();
    if (!batch) return std::optional<Batch>();
    batch = batch_on(std::move(*batch), device);
    stream.finish();
    for (const torch::Tensor* tensor : {&batch->audio, &batch->video, &batch->targets})
      stream.mark_used(*tensor);
    return batch;
  } catch (...) {
    return std::current_exception();
  }
}

void DeviceFeed::State::copy_ahead() {
  keep_torch_on_this_thread();
  SideStream stream(device);
  bool at_end = false;
  while (!at_end) {
    {
      MutexLock lock(mutex);
      while (!stopping && static_cast<int64_t>(items.size()) >= num_ahead) lock.wait(may_go_on);
      if (stopping) return;
    }
    FeedItem item = take_and_copy(stream);
    at_end = is_last(item);
    MutexLock lock(mutex);
    items.push_back(std::move(item));
    item_ready.notify_one();
  }
}

FeedItem DeviceFeed::State::wait_for_item() {
  MutexLock lock(mutex);
  while (items.empty()) lock.wait(item_ready);
  FeedItem item = std::move(items.front());
  items.pop_front();
  may_go_on.notify_one();
  return item;
}

DeviceFeed::DeviceFeed(Loader& loader, const DeviceFeedOptions& options) {
  constexpr int64_t kAheadOnGpu = 2;  // one that is ready, one under way
  state_ = std::make_unique<State>(loader, options.device,
                                   options.num_ahead.value_or(options.device.is_cpu() ? 0 : kAheadOnGpu));
}

DeviceFeed::~DeviceFeed() {
  state_->stop();
}

void DeviceFeed::start_epoch(const EpochOptions& options, const std::optional<EpochOptions>& next) {
  state_->stop();
  state_->loader.start_epoch(options, next);
  state_->running = true;
  if (state_->num_ahead > 0) state_->copier = std::thread([this] { state_->copy_ahead(); });
}

std::optional<Batch> DeviceFeed::next() {
  State& state = *state_;
  if (!state.running) return std::nullopt;
  if (state.num_ahead == 0) {
    std::optional<Batch> batch = state.loader.next();
    if (!batch) return std::nullopt;
    return batch_on(std::move(*batch), state.device);
  }
  FeedItem item = state.wait_for_item();
  if (is_last(item)) state.stop();
  if (auto* error = std::get_if<std::exception_ptr>(&item)) std::rethrow_exception(*error);
  return std::move(std::get<std::optional<Batch>>(item));
}

}  // namespace cavmae
