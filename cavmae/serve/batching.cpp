#include "cavmae/serve/batching.h"

#include <map>

#include "cavmae/core/own_errors.h"
#include "cavmae/eval/embed.h"
#include "cavmae/serve/http.h"

namespace cavmae {
namespace {

// The positions of those that have a side, by its shape: a batch has one.
std::map<std::vector<int64_t>, std::vector<size_t>> by_shape(const std::vector<torch::Tensor>& inputs) {
  std::map<std::vector<int64_t>, std::vector<size_t>> out;
  for (size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].defined()) out[inputs[i].sizes().vec()].push_back(i);
  return out;
}

}  // namespace

Batching::Batching(CavMae network, const BatchingOptions& options)
    : network_(std::move(network)), options_(options), thread_([this] { work(); }) {}

Batching::~Batching() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

ClipVectors Batching::embed(Sample sample) {
  std::future<ClipVectors> vectors;
  {
    const std::lock_guard lock(mutex_);
    if (static_cast<int64_t>(waiting_.size()) >= options_.max_waiting) {
      ++counts_.refused;
      throw too_busy("too many queries wait for the model");
    }
    ++counts_.queries;
    waiting_.push_back({.sample = std::move(sample), .since = Clock::now(), .vectors = {}});
    vectors = waiting_.back().vectors.get_future();
  }
  changed_.notify_all();
  return vectors.get();
}

BatchingCounts Batching::counts() const {
  const std::lock_guard lock(mutex_);
  BatchingCounts out = counts_;
  out.waiting = static_cast<int64_t>(waiting_.size());
  return out;
}

std::vector<Batching::Query> Batching::take_batch() {
  const auto most = static_cast<size_t>(options_.max_batch);
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return ended_ || !waiting_.empty(); });
  std::vector<Query> batch;
  if (waiting_.empty()) return batch;
  const auto deadline =
      waiting_.front().since + std::chrono::duration_cast<Clock::duration>(
                                   std::chrono::duration<double, std::milli>(options_.deadline_ms));
  changed_.wait_until(lock, deadline, [&] { return ended_ || waiting_.size() >= most; });
  while (!waiting_.empty() && batch.size() < most) {
    batch.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  ++counts_.batches;
  return batch;
}

void Batching::work() {
  const torch::NoGradGuard no_grad;
  for (std::vector<Query> batch = take_batch(); !batch.empty(); batch = take_batch()) {
    try {
      with_own_errors([&] { compute(batch); });
    } catch (...) {
      for (Query& query : batch) query.vectors.set_exception(std::current_exception());
    }
  }
}

void Batching::compute(std::vector<Query>& batch) {
  std::vector<ClipVectors> out(batch.size());
  for (const bool is_audio : {true, false}) {
    std::vector<torch::Tensor> inputs;
    for (const Query& query : batch) inputs.push_back(is_audio ? query.sample.audio : query.sample.video);
    for (const auto& [shape, positions] : by_shape(inputs)) {
      std::vector<torch::Tensor> some;
      for (const size_t i : positions) some.push_back(inputs[i]);
      const torch::Tensor stacked = torch::stack(some);
      const Embeddings embeddings = embed_batch(
          network_, is_audio ? Inputs{.audio = stacked, .video = {}} : Inputs{.audio = {}, .video = stacked});
      const torch::Tensor& rows = is_audio ? embeddings.audio : embeddings.video;
      for (size_t i = 0; i < positions.size(); ++i)
        (is_audio ? out[positions[i]].audio : out[positions[i]].video) =
            rows[static_cast<int64_t>(i)].clone();
    }
  }
  for (size_t i = 0; i < batch.size(); ++i) batch[i].vectors.set_value(std::move(out[i]));
}

}  // namespace cavmae
