#include "cavmae/eval/classify.h"

#include <algorithm>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"

namespace cavmae {
namespace {

// Positions of all ranks, ascending.
std::vector<int64_t> gather_positions(World& world, const std::vector<int64_t>& own) {
  const torch::Tensor all = gather_rows(world, torch::tensor(own, torch::kInt64));
  std::vector<int64_t> out(all.data_ptr<int64_t>(), all.data_ptr<int64_t>() + all.numel());
  std::ranges::sort(out);
  return out;
}

// Rows of all ranks in the order of their clips.
void gather_scores(ClipScores& out, const std::vector<torch::Tensor>& scores,
                   const std::vector<torch::Tensor>& logits, World& world) {
  const torch::Tensor order = gather_rows(world, torch::tensor(out.indices, torch::kInt64)).argsort();
  out.scores = gather_rows(world, torch::cat(scores)).index_select(0, order);
  out.logits = gather_rows(world, torch::cat(logits)).index_select(0, order);
  for (auto* positions : {&out.indices, &out.audio_only, &out.video_only})
    *positions = gather_positions(world, *positions);
}

}  // namespace

bool scores_one_modality(const HeadOptions& head) {
  return head.mode != Modalities::both || head.head_kind == HeadKind::linear;
}

Need needed_of_head(const HeadOptions& head) {
  if (head.mode != Modalities::both) return head.mode == Modalities::audio ? Need::audio : Need::video;
  return scores_one_modality(head) ? Need::any : Need::both;
}

torch::Tensor class_scores(const torch::Tensor& logits, ScoreKind kind) {
  return kind == ScoreKind::sigmoid ? logits.sigmoid() : logits.softmax(-1);
}

BatchScores classify_batch(Classifier& classifier, const Inputs& inputs) {
  const torch::NoGradGuard no_grad;
  Inputs frames = inputs_on(inputs, classifier->device());
  if (frames.video.defined() && frames.video.dim() == 4) frames.video = frames.video.unsqueeze(1);
  BatchScores out;
  out.frame_logits = classifier->classify_frames(frames).to(torch::kCPU, torch::kFloat32);
  out.scores = class_scores(out.frame_logits, classifier->head_options().scores).mean(1);
  return out;
}

ClipScores classify_clips(Classifier& classifier, const InputSpec& spec, const ClipList& clips,
                          const PassOptions& options, std::shared_ptr<Log> log, Modalities given) {
  HeadOptions asked = classifier->head_options();
  if (asked.mode == Modalities::both && given != Modalities::both) {
    CAVMAE_CHECK_AS(ConfigError, scores_one_modality(asked),
                    "a self_attention head of both modalities scores no clip by its ", enum_name(given),
                    " alone");
    asked.mode = given;
  }
  PassOptions pass = options;
  pass.need = needed_of_head(asked);
  pass.device = classifier->device();
  pass.title = "classifying";
  const int64_t classes = classifier->head_options().num_classes;
  ClipScores out;
  std::vector<BadClip> broken;
  std::vector<torch::Tensor> scores = {torch::empty({0, classes})}, logits = scores;
  const BatchSink sink = [&](const Batch& batch) {
    const BatchScores of_batch = classify_batch(classifier, {.audio = batch.audio, .video = batch.video});
    const torch::Tensor is_finite = of_batch.scores.isfinite().all(1);  // [B]
    const torch::Tensor rows = is_finite.nonzero().flatten();
    scores.push_back(of_batch.scores.index_select(0, rows));
    logits.push_back(of_batch.frame_logits.mean(1).index_select(0, rows));
    for (size_t row = 0; row < batch.indices.size(); ++row) {
      const int64_t position = batch.indices[row];
      if (!is_finite[static_cast<int64_t>(row)].item<bool>()) {
        broken.push_back({.id = std::string(clips.id(position)),
                          .reason = "its scores are not finite (NaN or infinity); check the checkpoint"});
        log->warn("{}", to_line(broken.back()));
        continue;
      }
      out.indices.push_back(position);
      if (pass.need == Need::any && !batch.video.defined()) out.audio_only.push_back(position);
      if (pass.need == Need::any && !batch.audio.defined()) out.video_only.push_back(position);
    }
  };
  PassResult result = pass.need == Need::any ? for_each_batch_any_modality(clips, spec, pass, sink, log)
                                             : for_each_batch(clips, spec, pass, sink, log);
  check_complete(result);
  gather_scores(out, scores, logits, pass.world);
  out.failed = std::move(result.failed);
  out.precision = classifier->precision();
  broken = gather_bad_clips(pass.world, std::move(broken));
  join_failed(out.failed, broken);
  if (!broken.empty()) check_failed_share(out.failed, clips.size(), pass.loader);
  return out;
}

}  // namespace cavmae
