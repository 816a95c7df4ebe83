#include "cavmae/train/validation.h"

#include <chrono>
#include <string>
#include <vector>

#include "cavmae/core/random.h"
#include "cavmae/core/text.h"

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
  const int64_t first = clips.first_batch();
  const PassEnd end = clips.for_each_batch([&](const Batch& batch) {
    const Inputs inputs = inputs_of(batch, config);
    sums.add(task.evaluation_forward(
                 inputs, mix_seed({options.mask_seed, static_cast<uint64_t>(first + batch.number)})),
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
  // A rank whose share was empty has no keys, so each takes those of all.
  std::string lines;
  for (const auto& [key, value] : own.values) lines += key + '\n';
  const std::vector<uint8_t> bytes(lines.begin(), lines.end());
  const torch::Tensor all = gather_rows(world, torch::tensor(bytes, torch::kUInt8)).contiguous();
  StepMeans sum;
  for (const std::string& key :
       split({reinterpret_cast<const char*>(all.data_ptr()), static_cast<size_t>(all.numel())}, '\n'))
    if (!key.empty()) sum.values.set(key, 0.0);
  std::vector<double> numbers = {static_cast<double>(own.clips)};
  for (const auto& [key, zero] : sum.values) numbers.push_back(own.values.find(key).value_or(0.0));
  const torch::Tensor totals = torch::tensor(numbers, torch::kFloat64);
  world.all_reduce(totals);
  const double* total = totals.data_ptr<double>();
  sum.clips = static_cast<int64_t>(*total++);
  for (const MetricValue& value : std::vector<MetricValue>(sum.values.begin(), sum.values.end()))
    sum.values.set(value.key, *total++);
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
