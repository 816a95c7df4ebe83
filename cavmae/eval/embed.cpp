#include "cavmae/eval/embed.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/core/progress.h"
#include "cavmae/eval/clip_passes.h"

namespace cavmae {
namespace {

// Without streams of their own, a modality's output depends on the other modality too.
bool needs_both_inputs(const CavMae& model) {
  return model->config().joint_streams == JointStreams::concat;
}

// The mean of each clip's rows. [B * K, D] -> [B, D]
torch::Tensor mean_of_clips(const torch::Tensor& outputs, int64_t num_clips) {
  return outputs.view({num_clips, -1, outputs.size(-1)}).mean(1);
}

// Each modality's own encoder looks at each of its inputs once, however many pictures a clip has.
Embeddings embed_pictures(CavMae& model, const Inputs& inputs) {
  const int64_t num_clips = inputs.video.size(0);
  Embeddings out = model->embed({.audio = inputs.audio, .video = inputs.video.flatten(0, 1)});
  if (out.audio.defined()) out.audio = mean_of_clips(out.audio, num_clips);
  out.video = mean_of_clips(out.video, num_clips);
  return out;
}

torch::Tensor to_result(const torch::Tensor& rows) {
  return rows.defined() ? rows.to(torch::kCPU, torch::kFloat32) : rows;
}

// Gathers batches in whatever order they come and hands them out by index.
class Collector {
 public:
  explicit Collector(int64_t width) : width_(width) {}

  // A side that is undefined has NaN in these rows.
  void add(const std::vector<int64_t>& indices, const Embeddings& rows) {
    const auto n = static_cast<int64_t>(indices.size());
    const auto or_nan = [&](const torch::Tensor& side) {
      return side.defined() ? side : torch::full({n, width_}, std::numeric_limits<float>::quiet_NaN());
    };
    indices_.insert(indices_.end(), indices.begin(), indices.end());
    audio_.push_back(or_nan(rows.audio));
    video_.push_back(or_nan(rows.video));
  }

  int64_t size() const { return static_cast<int64_t>(indices_.size()); }

  ClipEmbeddings finish(Need need) {
    std::vector<int64_t> order(indices_.size());
    std::iota(order.begin(), order.end(), 0);
    std::ranges::sort(order, {}, [&](int64_t row) { return indices_[row]; });
    ClipEmbeddings out;
    for (const int64_t row : order) out.indices.push_back(indices_[row]);
    const torch::Tensor rows = torch::tensor(order, torch::kInt64);
    const auto in_order = [&](const std::vector<torch::Tensor>& parts) {
      return parts.empty() ? torch::empty({0, width_}) : torch::cat(parts).index_select(0, rows);
    };
    if (need != Need::video) out.audio = in_order(audio_);
    if (need != Need::audio) out.video = in_order(video_);
    return out;
  }

 private:
  int64_t width_;
  std::vector<int64_t> indices_;
  std::vector<torch::Tensor> audio_, video_;
};

// What is there of each clip; a network that needs both sides gets only clips that have them.
std::vector<BadClip> embed_what_there_is(CavMae& model, const ClipPass& pass, const BatchSink& sink,
                                         std::shared_ptr<Log> log) {
  if (!needs_both_inputs(model)) return pass_over_what_there_is(pass, sink, std::move(log));
  const ClipsBySides sides = sort_by_sides(pass.clips);
  std::vector<BadClip> failed;
  for (const auto* group : {&sides.audio_alone, &sides.video_alone})
    for (const int64_t i : *group)
      failed.push_back({pass.clips[i].id, "this network needs both sound and picture"});
  ClipPass patient = pass;
  patient.loader.max_bad_ratio = 1.0;
  for (BadClip& clip : pass_over(patient, sides.both, Need::both, sink, null_log()))
    failed.push_back(std::move(clip));
  for (const BadClip& clip : failed) log->warn("{}: {}", clip.id, clip.reason);
  check_failed_share(failed, pass);
  return failed;
}

// What can be asked of this network: "any" of one with a single encoder is what that encoder takes.
Need resolve_need(const CavMae& model, Need need) {
  const CavMaeConfig& config = model->config();
  if (need == Need::any && !config.has_video()) need = Need::audio;
  if (need == Need::any && !config.has_audio()) need = Need::video;
  CAVMAE_CHECK_AS(ConfigError, config.has_audio() || need == Need::video,
                  "this network has no audio encoder; it can embed pictures only");
  CAVMAE_CHECK_AS(ConfigError, config.has_video() || need == Need::audio,
                  "this network has no video encoder; it can embed sounds only");
  CAVMAE_CHECK_AS(ConfigError, !needs_both_inputs(model) || need == Need::both || need == Need::any,
                  "this network mixes sound and picture in its joint layers; it cannot embed one alone");
  return need;
}

}  // namespace

Embeddings embed_batch(CavMae& model, const Inputs& inputs) {
  torch::NoGradGuard no_grad;
  const Inputs on_device = inputs_on(inputs, model->device());
  const bool several_pictures = inputs.video.defined() && inputs.video.dim() == 5;
  const Embeddings out = several_pictures ? embed_pictures(model, on_device) : model->embed(on_device);
  return {.audio = to_result(out.audio), .video = to_result(out.video)};
}

ClipEmbeddings embed_clips(CavMae& model, const InputSpec& spec, std::vector<ClipSource> clips,
                           const EmbedOptions& options, std::shared_ptr<Log> log) {
  const Need need = resolve_need(model, options.need);
  const auto total = static_cast<int64_t>(clips.size());
  Progress progress({.title = "embedding", .unit = "clips", .total = total, .quiet = !options.show_progress});
  Collector collector(model->config().embed_dim);
  const ClipPass pass{.reader = std::make_shared<const ClipReader>(spec, options.cache_dir, log),
                      .clips = clips,
                      .view = {.window_start = options.window_start, .frames = options.frames},
                      .loader = options.loader,
                      .device = model->device()};
  const BatchSink sink = [&](const Batch& batch, const std::vector<int64_t>& positions) {
    collector.add(positions, embed_batch(model, {.audio = batch.audio, .video = batch.video}));
    progress.update(collector.size());
  };
  std::vector<BadClip> failed =
      need == Need::any ? embed_what_there_is(model, pass, sink, std::move(log))
                        : pass_over(pass, all_positions(clips.size()), need, sink, std::move(log));
  progress.update(total);  // with those that could not be read
  progress.finish();
  ClipEmbeddings out = collector.finish(need);
  out.failed = std::move(failed);
  return out;
}

}  // namespace cavmae
