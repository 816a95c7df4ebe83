// A loader's batches on the device that computes. For a GPU a thread of its own copies the next batches while
// the current one is worked on; on the CPU they are handed on as they come. One consumer.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "cavmae/data/loader.h"
#include "cavmae/machine/device.h"

namespace cavmae {

struct DeviceFeedOptions {
  torch::Device device = torch::kCPU;
  // Batches copied ahead; 0: none, and no thread. nothing: 2 on a GPU, 0 on the CPU.
  std::optional<int64_t> num_ahead = std::nullopt;
};

class DeviceFeed {
 public:
  // `loader` outlives this; nobody else takes its batches meanwhile.
  DeviceFeed(Loader& loader, const DeviceFeedOptions& options);
  ~DeviceFeed();  // stops and joins

  // As those of Loader, errors included: they come in the place of the batch that they befell.
  void start_epoch(const EpochOptions& options, const std::optional<EpochOptions>& next = std::nullopt);
  std::optional<Batch> next();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The tensors of a batch on `device`.
Batch batch_on(Batch batch, torch::Device device);

}  // namespace cavmae
