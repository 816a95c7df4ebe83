#include "cavmae/eval/classify.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "cavmae/core/progress.h"
#include "cavmae/eval/clip_passes.h"

namespace cavmae {
namespace {

Need need_of(Modalities mode) {
  return mode == Modalities::audio ? Need::audio : mode == Modalities::video ? Need::video : Need::any;
}

// Rows in the order of their clips.
void sort_by_clip(ClipScores& out, const std::vector<torch::Tensor>& scores,
                  const std::vector<torch::Tensor>& logits) {
  std::vector<int64_t> order(out.indices.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order, {}, [&](int64_t row) { return out.indices[row]; });
  const torch::Tensor rows = torch::tensor(order, torch::kInt64);
  out.scores = torch::cat(scores).index_select(0, rows);
  out.logits = torch::cat(logits).index_select(0, rows);
  std::ranges::sort(out.indices);
  std::ranges::sort(out.heard_only);
  std::ranges::sort(out.seen_only);
}

}  // namespace

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

ClipScores classify_clips(Classifier& classifier, const InputSpec& spec, const std::vector<ClipSource>& clips,
                          const ClassifyOptions& options, std::shared_ptr<Log> log) {
  const Modalities mode = classifier->head_options().mode;
  Progress progress({.title = "classifying",
                     .unit = "clips",
                     .total = static_cast<int64_t>(clips.size()),
                     .quiet = !options.show_progress});
  const int64_t classes = classifier->head_options().num_classes;
  ClipScores out;
  std::vector<torch::Tensor> scores = {torch::empty({0, classes})}, logits = scores;
  const BatchSink sink = [&](const Batch& batch, const std::vector<int64_t>& positions) {
    const BatchScores of_batch = classify_batch(classifier, {.audio = batch.audio, .video = batch.video});
    scores.push_back(of_batch.scores);
    logits.push_back(of_batch.frame_logits.mean(1));
    const auto append = [&](std::vector<int64_t>& to) {
      to.insert(to.end(), positions.begin(), positions.end());
    };
    append(out.indices);
    if (mode == Modalities::both && !batch.video.defined()) append(out.heard_only);
    if (mode == Modalities::both && !batch.audio.defined()) append(out.seen_only);
    progress.update(static_cast<int64_t>(out.indices.size()));
  };
  const ClipPass pass{.reader = std::make_shared<const ClipReader>(spec, options.cache_dir, log),
                      .clips = clips,
                      .view = {.window_start = options.window_start, .frames = options.frames},
                      .loader = options.loader,
                      .device = classifier->device()};
  out.failed = mode == Modalities::both
                   ? pass_over_what_there_is(pass, sink, std::move(log))
                   : pass_over(pass, all_positions(clips.size()), need_of(mode), sink, std::move(log));
  progress.update(static_cast<int64_t>(clips.size()));  // with those that could not be read
  progress.finish();
  sort_by_clip(out, scores, logits);
  return out;
}

}  // namespace cavmae
