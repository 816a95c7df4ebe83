#include "cavmae/train/validation.h"

#include <chrono>
#include <vector>

#include "cavmae/core/error.h"
#include "cavmae/core/progress.h"
#include "cavmae/core/random.h"
#include "cavmae/core/stop_signal.h"
#include "cavmae/data/device_feed.h"

namespace cavmae {

std::optional<ValidationResult> validate(PretrainingTask& task, Loader& loader,
                                         const ValidationOptions& options) {
  const torch::NoGradGuard no_grad;
  const auto start = std::chrono::steady_clock::now();
  const CavMaeConfig& config = task.model()->config();
  const bool retrieves = config.modalities == Modalities::both;
  const auto total = static_cast<int64_t>(loader.clips().size());
  Progress progress({.title = "validating",
                     .total = total,
                     .line_interval_seconds = 30.0,
                     .quiet = !options.show_progress});
  std::vector<torch::Tensor> audio, video;  // float [B, D] each
  StepMeans sums;
  uint64_t index = 0;
  DeviceFeed feed(loader, {.device = task.model()->device()});
  feed.start_epoch({.epoch = 0, .seed = 0, .shuffle = false, .drop_last = false, .start_position = 0});
  while (const auto batch = feed.next()) {
    if (StopSignal::requested()) return std::nullopt;
    const Inputs inputs = inputs_of(*batch, config);
    sums.add(task.evaluation_forward(inputs, mix_seed({options.mask_seed, index++})),
             static_cast<int64_t>(batch->indices.size()));
    if (retrieves) {
      const Embeddings embeddings = task.model()->embed(inputs);
      audio.push_back(embeddings.audio.to(torch::kFloat32));
      video.push_back(embeddings.video.to(torch::kFloat32));
    }
    progress.update(sums.clips);
  }
  progress.clear();
  CAVMAE_CHECK_AS(DataError, sums.clips > 0, "none of the ", total, " validation clips could be read");
  ValidationResult result{.losses = sums.mean(), .retrieval = {}, .classification = {}, .seconds = 0.0};
  if (retrieves) result.retrieval = evaluate_retrieval(torch::cat(audio), torch::cat(video));
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace cavmae
