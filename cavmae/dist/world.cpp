#include "cavmae/dist/world.h"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace cavmae {
namespace {

class Alone final : public World {
 public:
  int64_t rank() const override { return 0; }
  int64_t size() const override { return 1; }

 protected:
  void do_all_reduce(const torch::Tensor& /*tensor*/) override {}
  std::vector<torch::Tensor> do_all_gather(const torch::Tensor& tensor) override { return {tensor}; }
  void do_broadcast(const torch::Tensor& /*tensor*/, int64_t /*root*/) override {}
  void do_wait_for_all() override {}
};

// Adds to `seconds` how long it lives.
class Stopwatch {
 public:
  explicit Stopwatch(double& seconds) : seconds_(seconds) {}
  ~Stopwatch() { seconds_ += std::chrono::duration<double>(Clock::now() - start_).count(); }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  double& seconds_;
  Clock::time_point start_ = Clock::now();
};

std::vector<int64_t> gather_counts(World& world, int64_t own) {
  std::vector<int64_t> counts;
  for (const auto& count : world.all_gather(torch::tensor({own}, torch::kInt64)))
    counts.push_back(count.item<int64_t>());
  return counts;
}

}  // namespace

World& World::alone() {
  static Alone alone;
  return alone;
}

void World::all_reduce(const torch::Tensor& tensor) {
  if (size() == 1) return;
  const Stopwatch watch(exchange_seconds_);
  do_all_reduce(tensor);
}

std::vector<torch::Tensor> World::all_gather(const torch::Tensor& tensor) {
  if (size() == 1) return {tensor};
  const Stopwatch watch(exchange_seconds_);
  return do_all_gather(tensor);
}

void World::broadcast(const torch::Tensor& tensor, int64_t root) {
  if (size() == 1) return;
  const Stopwatch watch(exchange_seconds_);
  do_broadcast(tensor, root);
}

std::unique_ptr<PendingReduction> World::begin_all_reduce(const torch::Tensor& tensor) {
  if (size() == 1) return nullptr;
  const Stopwatch watch(exchange_seconds_);
  return do_begin_all_reduce(tensor);
}

void World::finish(std::unique_ptr<PendingReduction> reduction) {
  if (!reduction) return;
  const Stopwatch watch(exchange_seconds_);
  reduction->wait();
}

void World::wait_for_all() {
  if (size() > 1) do_wait_for_all();
}

void World::barrier() {
  all_reduce(torch::zeros({1}, torch::kInt64));
}

torch::Tensor gather_rows(World& world, const torch::Tensor& rows) {
  if (world.size() == 1) return rows;
  const std::vector<int64_t> counts = gather_counts(world, rows.size(0));
  const int64_t most = *std::ranges::max_element(counts);
  torch::Tensor padded = rows.detach();
  if (rows.size(0) < most) {
    std::vector<int64_t> sizes = rows.sizes().vec();
    sizes[0] = most - rows.size(0);
    padded = torch::cat({padded, torch::zeros(sizes, rows.options())});
  }
  std::vector<torch::Tensor> parts = world.all_gather(padded.contiguous());
  for (size_t rank = 0; rank < parts.size(); ++rank)
    parts[rank] = static_cast<int64_t>(rank) == world.rank() ? rows : parts[rank].narrow(0, 0, counts[rank]);
  return torch::cat(parts);
}

std::vector<std::string> gather_texts(World& world, const std::string& text) {
  if (world.size() == 1) return {text};
  const auto length = static_cast<int64_t>(text.size());
  const torch::Tensor bytes = torch::empty({length}, torch::kUInt8);
  if (length > 0) std::memcpy(bytes.data_ptr(), text.data(), text.size());
  const std::vector<int64_t> lengths = gather_counts(world, length);
  const torch::Tensor all = gather_rows(world, bytes).contiguous();
  const char* next = static_cast<const char*>(all.data_ptr());
  std::vector<std::string> texts;
  for (const int64_t size : lengths) {
    texts.emplace_back(next, static_cast<size_t>(size));
    next += size;
  }
  return texts;
}

}  // namespace cavmae
