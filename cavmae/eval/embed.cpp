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

torch::Tensor mean_of_pictures(const torch::Tensor& vectors) {  // [B, K, D] -> [B, D]
  return vectors.defined() ? vectors.mean(1) : vectors;
}

// Rows of one clip after another, [B * K, D] or [B, D] -> [B, K, D] or [B, 1, D].
torch::Tensor by_clip(const torch::Tensor& rows, int64_t num_clips) {
  return rows.defined() && rows.dim() == 2 ? rows.view({num_clips, -1, rows.size(-1)}) : rows;
}

int64_t num_pictures(const Inputs& inputs) {
  if (inputs.video.defined() && inputs.video.dim() == 5) return inputs.video.size(1);
  return inputs.audio.defined() && inputs.audio.dim() == 4 ? inputs.audio.size(1) : 1;
}

// Which of the segments each one is the same as, in all clips, among those that differ from their neighbours.
// audio: float [B, K, T, F] -> int64 [K] into the distinct ones, whose places are `distinct`
torch::Tensor place_among_distinct(const torch::Tensor& audio, std::vector<int64_t>& distinct) {
  std::vector<int64_t> place;
  for (int64_t k = 0; k < audio.size(1); ++k) {
    if (k == 0 || !audio.select(1, k).equal(audio.select(1, k - 1))) distinct.push_back(k);
    place.push_back(static_cast<int64_t>(distinct.size()) - 1);
  }
  return torch::tensor(place, torch::kInt64);
}

// float [B, K, T, F] -> [B, K, D]
torch::Tensor embed_segments(CavMae& model, const torch::Tensor& audio) {
  std::vector<int64_t> distinct;
  const auto place = place_among_distinct(audio, distinct).to(audio.device());
  const auto segments =
      audio.index_select(1, torch::tensor(distinct, torch::kInt64).to(audio.device())).flatten(0, 1);
  const auto rows = model->embed({.audio = segments, .video = {}}).audio;
  return rows.view({audio.size(0), -1, rows.size(-1)}).index_select(1, place);
}

torch::Tensor to_result(const torch::Tensor& rows) {
  return rows.defined() ? rows.to(torch::kCPU, torch::kFloat32) : rows;
}

// Gathers batches in whatever order they come and hands them out by index.
class Collector {
 public:
  // `shape`: of a clip's vectors, [D] or [K, D].
  explicit Collector(std::vector<int64_t> shape) : shape_(std::move(shape)) {}

  // A modality that is undefined has NaN in these rows.
  void add(const std::vector<int64_t>& indices, const Embeddings& rows) {
    const auto n = static_cast<int64_t>(indices.size());
    note_broken(indices, rows);
    const auto or_nan = [&](const torch::Tensor& rows_of) {
      return rows_of.defined() ? rows_of : torch::full(sizes(n), std::numeric_limits<float>::quiet_NaN());
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
      const torch::Tensor rows = parts.empty() ? torch::empty(sizes(0)) : torch::cat(parts);
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

  std::vector<int64_t> sizes(int64_t rows) const {
    std::vector<int64_t> all = {rows};
    all.insert(all.end(), shape_.begin(), shape_.end());
    return all;
  }

  std::vector<int64_t> shape_;
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
  check_failed_share(result.failed, clips.size(), options.loader);
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

namespace {

// Each modality's own encoder looks at each of its inputs once, however many pictures a clip has: float [B,
// K, D] of each, or [B, 1, D] where a clip has one such input.
Embeddings embed_each(CavMae& model, const Inputs& given) {
  Inputs inputs = inputs_on(given, model->device());
  const int64_t num_clips = inputs.video.defined() ? inputs.video.size(0) : inputs.audio.size(0);
  Embeddings out;
  if (inputs.audio.defined() && inputs.audio.dim() == 4) {
    if (needs_both_inputs(model)) {
      inputs.audio = inputs.audio.flatten(0, 1);
    } else {
      out.audio = embed_segments(model, inputs.audio);
      inputs.audio = torch::Tensor();
    }
  }
  if (inputs.video.defined() && inputs.video.dim() == 5) inputs.video = inputs.video.flatten(0, 1);
  if (inputs.audio.defined() || inputs.video.defined()) {
    const Embeddings rest = model->embed(inputs);
    if (rest.audio.defined()) out.audio = rest.audio;
    out.video = rest.video;
  }
  return {.audio = by_clip(out.audio, num_clips), .video = by_clip(out.video, num_clips)};
}

}  // namespace

Embeddings embed_pictures(CavMae& model, const Inputs& inputs) {
  torch::NoGradGuard no_grad;
  const Embeddings each = embed_each(model, inputs);
  const auto repeated = [&](const torch::Tensor& vectors) {
    return vectors.defined() ? vectors.expand({-1, num_pictures(inputs), -1}) : vectors;
  };
  return {.audio = to_result(repeated(each.audio)), .video = to_result(repeated(each.video))};
}

Embeddings embed_batch(CavMae& model, const Inputs& inputs) {
  torch::NoGradGuard no_grad;
  const bool several = (inputs.video.defined() && inputs.video.dim() == 5) ||
                       (inputs.audio.defined() && inputs.audio.dim() == 4);
  if (several) {
    const Embeddings each = embed_each(model, inputs);
    return {.audio = to_result(mean_of_pictures(each.audio)),
            .video = to_result(mean_of_pictures(each.video))};
  }
  const Embeddings out = model->embed(inputs_on(inputs, model->device()));
  return {.audio = to_result(out.audio), .video = to_result(out.video)};
}

ClipEmbeddings embed_clips(CavMae& model, const InputSpec& spec, const ClipList& clips,
                           const PassOptions& options, std::shared_ptr<Log> log, ClipVectorsOf of) {
  PassOptions pass = options;
  pass.need = resolve_need(model, options.need);
  pass.device = model->device();
  pass.title = "embedding";
  const int64_t pictures = options.view.frames == FrameChoice::all ? spec.num_frames : 1;
  std::vector<int64_t> shape = {model->config().embed_dim};
  if (of == ClipVectorsOf::picture) shape.insert(shape.begin(), pictures);
  Collector collector(std::move(shape));
  const BatchSink sink = [&](const Batch& batch) {
    const Inputs inputs{.audio = batch.audio, .video = batch.video};
    if (of == ClipVectorsOf::clip) {
      collector.add(batch.indices, embed_batch(model, inputs));
      return;
    }
    Embeddings each = embed_pictures(model, inputs);
    for (torch::Tensor* vectors : {&each.audio, &each.video})  // of a whole sound alone there is one
      if (vectors->defined()) *vectors = vectors->expand({-1, pictures, -1});
    collector.add(batch.indices, each);
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
  if (!broken.empty()) check_failed_share(out.failed, clips.size(), pass.loader);
  return out;
}

}  // namespace cavmae
