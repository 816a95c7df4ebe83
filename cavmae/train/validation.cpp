#include "cavmae/train/validation.h"

#include <chrono>
#include <type_traits>
#include <vector>

#include "cavmae/core/random.h"

namespace cavmae {

std::optional<ValidationResult> validate(PretrainingTask& task, ClipPass& clips,
                                         const ValidationOptions& options) {
  const torch::NoGradGuard no_grad;
  const auto start = std::chrono::steady_clock::now();
  const CavMaeConfig& config = task.model()->config();
  const bool retrieves = config.modalities == Modalities::both;
  const torch::Tensor nothing = torch::empty({0, config.embed_dim}, task.model()->device());
  std::vector<torch::Tensor> audio{nothing}, video{nothing};  // float [B, D] each
  StepMeans sums;
  auto index = static_cast<uint64_t>(clips.first_batch());
  const PassEnd end = clips.for_each_batch([&](const Batch& batch) {
    const Inputs inputs = inputs_of(batch, config);
    sums.add(task.evaluation_forward(inputs, mix_seed({options.mask_seed, index++})),
             static_cast<int64_t>(batch.indices.size()));
    if (!retrieves) return;
    const Embeddings embeddings = task.model()->embed(inputs);
    audio.push_back(embeddings.audio.to(torch::kFloat32));
    video.push_back(embeddings.video.to(torch::kFloat32));
  });
  if (end == PassEnd::interrupted) return std::nullopt;
  ValidationResult result;
  result.losses = sum_of_ranks(clips.world(), sums).mean();
  if (retrieves)
    result.retrieval = evaluate_retrieval(gather_rows(clips.world(), torch::cat(audio)),
                                          gather_rows(clips.world(), torch::cat(video)));
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

StepMeans sum_of_ranks(World& world, const StepMeans& own) {
  if (world.size() == 1) return own;
  StepMeans sum = own;
  StepMeans::visit(sum, [&](const char* /*name*/, auto& value, const char* /*help*/) {
    const torch::Tensor total = torch::tensor({static_cast<double>(value)}, torch::kFloat64);
    world.all_reduce(total);
    value = static_cast<std::remove_reference_t<decltype(value)>>(total.item<double>());
  });
  return sum;
}

PassOptions validation_pass(const PassOptions& reading) {
  PassOptions pass = reading;
  pass.title = "validating";
  pass.line_interval_seconds = 30.0;
  pass.progress_end = ProgressEnd::clear;
  pass.if_none_read = IfNoneRead::fail;
  return pass;
}

}  // namespace cavmae
