#include "cavmae/eval/embed.h"

#include <limits>
#include <set>
#include <utility>

#include "cavmae/core/error.h"

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

  // A modality that is undefined has NaN in these rows.
  void add(const std::vector<int64_t>& indices, const Embeddings& rows) {
    const auto n = static_cast<int64_t>(indices.size());
    const auto or_nan = [&](const torch::Tensor& rows_of) {
      return rows_of.defined() ? rows_of : torch::full({n, width_}, std::numeric_limits<float>::quiet_NaN());
    };
    indices_.insert(indices_.end(), indices.begin(), indices.end());
    audio_.push_back(or_nan(rows.audio));
    video_.push_back(or_nan(rows.video));
  }

  // Of all ranks, in the order of the clips.
  ClipEmbeddings finish(Need need, World& world) {
    const torch::Tensor indices = gather_rows(world, torch::tensor(indices_, torch::kInt64));
    const torch::Tensor order = indices.argsort();
    const auto in_order = [&](const std::vector<torch::Tensor>& parts) {
      const torch::Tensor rows = parts.empty() ? torch::empty({0, width_}) : torch::cat(parts);
      return gather_rows(world, rows).index_select(0, order);
    };
    ClipEmbeddings out;
    for (int64_t i = 0; i < order.numel(); ++i)
      out.indices.push_back(indices[order[i].item<int64_t>()].item<int64_t>());
    if (need != Need::video) out.audio = in_order(audio_);
    if (need != Need::audio) out.video = in_order(video_);
    return out;
  }

 private:
  int64_t width_;
  std::vector<int64_t> indices_;
  std::vector<torch::Tensor> audio_, video_;
};

// What is there of each clip; a network that needs both inputs gets only clips that have them.
PassResult embed_any_modality(CavMae& model, const InputSpec& spec, const ClipList& clips,
                              const PassOptions& options, const BatchSink& sink, std::shared_ptr<Log> log) {
  if (!needs_both_inputs(model))
    return for_each_batch_any_modality(clips, spec, options, sink, std::move(log));
  PassOptions both = options;
  both.need = Need::both;
  both.loader.max_bad_ratio = 1.0;
  PassResult result = for_each_batch(clips, spec, both, sink, null_log());
  std::set<std::string> lack_one;
  for (size_t i = 0; i < clips.size(); ++i)
    if (const auto [audio, video] = clips.promised(i); !audio || !video) lack_one.emplace(clips.id(i));
  for (BadClip& clip : result.failed) {
    if (lack_one.contains(clip.id)) clip.reason = "this network needs both audio and video";
    log->warn("{}: {}", clip.id, clip.reason);
  }
  check_failed_share(result.failed, clips, options.loader);
  return result;
}

// What can be asked of this network: "any" of one with a single encoder is what that encoder takes.
Need resolve_need(const CavMae& model, Need need) {
  const CavMaeConfig& config = model->config();
  if (need == Need::any && !config.has_video()) need = Need::audio;
  if (need == Need::any && !config.has_audio()) need = Need::video;
  CAVMAE_CHECK_AS(ConfigError, config.has_audio() || need == Need::video,
                  "this network has no audio encoder; it can embed video only");
  CAVMAE_CHECK_AS(ConfigError, config.has_video() || need == Need::audio,
                  "this network has no video encoder; it can embed audio only");
  CAVMAE_CHECK_AS(ConfigError, !needs_both_inputs(model) || need == Need::both || need == Need::any,
                  "this network mixes audio and video in its joint layers; it cannot embed one alone");
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

ClipEmbeddings embed_clips(CavMae& model, const InputSpec& spec, const ClipList& clips,
                           const PassOptions& options, std::shared_ptr<Log> log) {
  PassOptions pass = options;
  pass.need = resolve_need(model, options.need);
  pass.device = model->device();
  pass.title = "embedding";
  Collector collector(model->config().embed_dim);
  const BatchSink sink = [&](const Batch& batch) {
    collector.add(batch.indices, embed_batch(model, {.audio = batch.audio, .video = batch.video}));
  };
  PassResult result = pass.need == Need::any
                          ? embed_any_modality(model, spec, clips, pass, sink, std::move(log))
                          : for_each_batch(clips, spec, pass, sink, std::move(log));
  check_complete(result);
  ClipEmbeddings out = collector.finish(pass.need, pass.world);
  out.failed = std::move(result.failed);
  return out;
}

}  // namespace cavmae
