#include "cavmae/train/step_record.h"

#include <algorithm>

#include <fmt/format.h>

namespace cavmae {
namespace {

void put_losses(Json& record, const StepMeans& means, const LossParts& parts) {
  record["loss"] = means.loss;
  if (parts.audio) record["loss_audio"] = means.loss_audio;
  if (parts.video) record["loss_video"] = means.loss_video;
  if (parts.contrastive) record["loss_contrastive"] = means.loss_contrastive;
  if (parts.accuracy) record["accuracy"] = means.accuracy;
}

void put_scores(Json& record, const std::string& direction, const RetrievalScores& scores) {
  record[direction + "_r1"] = scores.r1;
  record[direction + "_r5"] = scores.r5;
  record[direction + "_r10"] = scores.r10;
  record[direction + "_median_rank"] = scores.median_rank;
}

void put_classification(Json& record, const ClassificationResult& result) {
  record["map"] = result.mean_average_precision;
  record["mauc"] = result.mean_auc;
  record["d_prime"] = result.d_prime;
  record["top1"] = result.top1;
  record["top5"] = result.top5;
}

double number(const Json& record, const char* name) {
  return record.at(name).get<double>();
}

std::string losses_line(const Json& record) {
  std::string line = fmt::format("loss {:.4g}", number(record, "loss"));
  std::string parts;
  for (const char* name : {"audio", "video", "contrastive"})
    if (const std::string key = std::string("loss_") + name; record.contains(key))
      parts += fmt::format("{}{} {:.4g}", parts.empty() ? "" : ", ", name, number(record, key.c_str()));
  if (!parts.empty()) line += " (" + parts + ")";
  if (record.contains("accuracy"))
    line += fmt::format(", accuracy {:.1f} %", 100 * number(record, "accuracy"));
  return line;
}

}  // namespace

Json train_record(const RunState& state, double lr, const LossParts& parts) {
  const IntervalSums& sums = state.interval;
  const double seconds = std::max(sums.seconds, 1e-9);
  Json record = {
      {"kind", "train"}, {"step", state.step}, {"epoch", state.epoch + 1}, {"samples", state.samples}};
  put_losses(record, sums.means.mean(), parts);
  record["lr"] = lr;
  record["gradient_norm"] = sums.gradient_norm / static_cast<double>(std::max<int64_t>(1, sums.steps));
  record["samples_per_second"] = static_cast<double>(sums.samples) / seconds;
  record["data_wait_share"] = sums.wait_seconds / seconds;
  record["elapsed_seconds"] = state.elapsed_seconds;
  return record;
}

Json validation_record(const RunState& state, const ValidationResult& result, const LossParts& parts,
                       ValidationOf of) {
  Json record = {{"kind", of == ValidationOf::run ? "validation" : "averaged"},
                 {"step", state.step},
                 {"epoch", state.epoch}};
  put_losses(record, result.losses, parts);
  if (result.retrieval) {
    put_scores(record, "audio_to_video", result.retrieval->audio_to_video);
    put_scores(record, "video_to_audio", result.retrieval->video_to_audio);
    record["chance_r1"] = result.retrieval->chance_r1;
  }
  if (result.classification) put_classification(record, *result.classification);
  record["clips"] = result.losses.clips;
  record["seconds"] = result.seconds;
  return record;
}

std::string train_line(const Json& record) {
  return fmt::format("{}, lr {:.3g}, {:.3g} samples/s, waiting {:.0f} %", losses_line(record),
                     number(record, "lr"), number(record, "samples_per_second"),
                     100 * number(record, "data_wait_share"));
}

std::string validation_line(const Json& record) {
  std::string line = losses_line(record);
  if (record.contains("chance_r1"))
    line += fmt::format(", R@1 audio to video {:.1f} %, video to audio {:.1f} % (chance {:.2g} %)",
                        100 * number(record, "audio_to_video_r1"), 100 * number(record, "video_to_audio_r1"),
                        100 * number(record, "chance_r1"));
  if (record.contains("map"))
    line += fmt::format(", mAP {:.1f} %, top-1 {:.1f} %", 100 * number(record, "map"),
                        100 * number(record, "top1"));
  return line;
}

}  // namespace cavmae
