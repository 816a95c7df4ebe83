#include "cavmae/train/step_result.h"

namespace cavmae {
namespace {

double value_of(const torch::Tensor& tensor) {
  return tensor.defined() ? tensor.item<double>() : 0.0;
}

}  // namespace

void StepMeans::add(const StepResult& result, int64_t batch) {
  const auto weight = static_cast<double>(batch);
  clips += batch;
  loss += weight * value_of(result.loss);
  loss_audio += weight * value_of(result.loss_audio);
  loss_video += weight * value_of(result.loss_video);
  loss_contrastive += weight * value_of(result.loss_contrastive);
  accuracy += weight * value_of(result.accuracy);
}

void StepMeans::add(const StepMeans& other) {
  clips += other.clips;
  loss += other.loss;
  loss_audio += other.loss_audio;
  loss_video += other.loss_video;
  loss_contrastive += other.loss_contrastive;
  accuracy += other.accuracy;
}

StepMeans StepMeans::mean() const {
  if (clips == 0) return {};
  const auto n = static_cast<double>(clips);
  return {.clips = clips,
          .loss = loss / n,
          .loss_audio = loss_audio / n,
          .loss_video = loss_video / n,
          .loss_contrastive = loss_contrastive / n,
          .accuracy = accuracy / n};
}

}  // namespace cavmae
