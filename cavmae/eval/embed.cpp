#include "cavmae/eval/embed.h"

#include <limits>
#include <map>
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
    note_broken(indices, rows);
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

  // Positions of clips for which the network gave values that are not finite.
  const std::map<int64_t, ClipSide>& broken() const { return broken_; }

 private:
  void note_broken(const std::vector<int64_t>& indices, const Embeddings& rows) {
    const auto is_finite = [](const torch::Tensor& values) {
      return !values.defined() || values.isfinite().all().item<bool>();
    };
    const auto is_broken = [&](const torch::Tensor& of_side, size_t row) {
      return of_side.defined() && !is_finite(of_side[static_cast<int64_t>(row)]);
    };
    if (is_finite(rows.audio) && is_finite(rows.video)) return;
    for (size_t row = 0; row < indices.size(); ++row) {
      const bool audio = is_broken(rows.audio, row), video = is_broken(rows.video, row);
      if (audio || video)
        broken_[indices[row]] = audio && video ? ClipSide::both : audio ? ClipSide::audio : ClipSide::video;
    }
  }

  int64_t width_;
  std::map<int64_t, ClipSide> broken_;
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
    clip.side = ClipSide::both;
    log->warn("{}", to_line(clip));
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

// Clips whose lists name one side alone.
void add_unnamed(const ClipList& clips, ClipEmbeddings& out) {
  if (!out.audio.defined() || !out.video.defined()) return;
  for (const int64_t index : out.indices) {
    const ClipSource& clip = clips[static_cast<size_t>(index)];
    const bool no_video = clip.video.empty() && clip.frames.empty();
    if (!no_video && !clip.audio.empty()) continue;
    out.lacking.push_back({.id = clip.id,
                           .reason = no_video ? "is audio alone" : "is video alone",
                           .side = no_video ? ClipSide::video : ClipSide::audio,
                           .is_lacking = true});
  }
}

std::vector<BadClip> bad_clips_of(const std::map<int64_t, ClipSide>& broken, const ClipList& clips) {
  std::vector<BadClip> out;
  for (const auto& [position, side] : broken)
    out.push_back({.id = std::string(clips.id(position)),
                   .reason =
                       "the network gives values for it that are not finite (NaN or infinity); check the "
                       "checkpoint",
                   .side = side});
  return out;
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
  PassResult result = pass.need == Need::any ? embed_any_modality(model, spec, clips, pass, sink, log)
                                             : for_each_batch(clips, spec, pass, sink, log);
  check_complete(result);
  ClipEmbeddings out = collector.finish(pass.need, pass.world);
  out.failed = std::move(result.failed);
  out.lacking = std::move(result.lacking);
  out.precision = model->precision();
  add_unnamed(clips, out);
  const auto broken = gather_bad_clips(pass.world, bad_clips_of(collector.broken(), clips));
  for (const BadClip& clip : broken) log->warn("{}", to_line(clip));
  join_failed(out.failed, broken);
  if (!broken.empty()) check_failed_share(out.failed, clips, pass.loader);
  return out;
}

}  // namespace cavmae
