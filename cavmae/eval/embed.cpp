#include "cavmae/eval/embed.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/core/progress.h"

namespace cavmae {
namespace {

// Without streams of their own, a modality's output depends on the other modality too.
bool needs_both_inputs(const CavMae& model) {
  return model->config().joint_streams == JointStreams::both;
}

torch::Tensor mean_over_pictures(const torch::Tensor& outputs, int64_t num_pictures) {
  return outputs.view({-1, num_pictures, outputs.size(-1)}).mean(1);  // [B * K, D] -> [B, D]
}

Features embed_pictures(CavMae& model, const Inputs& inputs) {
  const int64_t num_pictures = inputs.video.size(1);
  const torch::Tensor pictures = inputs.video.flatten(0, 1);  // [B * K, 3, S, S]
  if (needs_both_inputs(model)) {
    const Features all = model->features(
        {.audio = inputs.audio.repeat_interleave(num_pictures, /*dim=*/0), .video = pictures});
    return {.audio = mean_over_pictures(all.audio, num_pictures),
            .video = mean_over_pictures(all.video, num_pictures)};
  }
  Features out;
  if (inputs.audio.defined()) out.audio = model->features({.audio = inputs.audio, .video = {}}).audio;
  out.video = mean_over_pictures(model->features({.audio = {}, .video = pictures}).video, num_pictures);
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
  void add(const std::vector<int64_t>& indices, const Features& rows) {
    const auto n = static_cast<int64_t>(indices.size());
    const auto or_nan = [&](const torch::Tensor& side) {
      return side.defined() ? side : torch::full({n, width_}, std::numeric_limits<float>::quiet_NaN());
    };
    indices_.insert(indices_.end(), indices.begin(), indices.end());
    audio_.push_back(or_nan(rows.audio));
    video_.push_back(or_nan(rows.video));
  }

  int64_t size() const { return static_cast<int64_t>(indices_.size()); }

  Embeddings finish(Need need) {
    std::vector<int64_t> order(indices_.size());
    std::iota(order.begin(), order.end(), 0);
    std::ranges::sort(order, {}, [&](int64_t row) { return indices_[row]; });
    Embeddings out;
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

// What every pass over clips uses.
struct Job {
  CavMae& model;
  std::shared_ptr<const ClipReader> reader;
  const std::vector<ClipSource>& clips;
  const EmbedOptions& options;
  Progress& progress;
  Collector& collector;
};

// One pass over the clips at `positions`; returns those that could not be read.
std::vector<BadClip> embed_pass(Job& job, const std::vector<int64_t>& positions, Need need,
                                const LoaderOptions& loader_options, std::shared_ptr<Log> log) {
  if (positions.empty()) return {};
  std::vector<ClipSource> chosen;
  for (const int64_t position : positions) chosen.push_back(job.clips[position]);
  const ViewOptions view{.window_start = job.options.window_start, .frames = job.options.frames};
  Loader loader(std::move(chosen), job.reader, view, need, loader_options, std::move(log));
  loader.start_epoch({.shuffle = false, .drop_last = false});
  while (auto batch = loader.next()) {
    std::vector<int64_t> indices;
    for (const int64_t i : batch->indices) indices.push_back(positions[i]);
    job.collector.add(indices, embed_batch(job.model, {.audio = batch->audio, .video = batch->video}));
    job.progress.update(job.collector.size());
  }
  return loader.bad_clips();
}

// Positions of the clips named in `bad`, of those at `positions`.
std::vector<int64_t> positions_of(const std::vector<BadClip>& bad, const std::vector<ClipSource>& clips,
                                  const std::vector<int64_t>& positions) {
  std::vector<std::string> ids;
  for (const BadClip& clip : bad) ids.push_back(clip.id);
  std::ranges::sort(ids);
  std::vector<int64_t> out;
  for (const int64_t position : positions)
    if (std::ranges::binary_search(ids, clips[position].id)) out.push_back(position);
  return out;
}

// Need::any: clips with both sides first, then what is left by its sound, then by its picture. What fails on
// the way is not worth a warning; what fails every time is.
std::vector<BadClip> embed_what_there_is(Job& job, std::shared_ptr<Log> log) {
  LoaderOptions patient = job.options.loader;
  patient.max_bad_ratio = 1.0;
  std::vector<int64_t> with_both, with_audio, with_video;
  for (size_t i = 0; i < job.clips.size(); ++i) {
    const ClipSource& clip = job.clips[i];
    const bool no_picture = clip.video.empty() && clip.frames.empty();
    (no_picture ? with_audio : clip.audio.empty() ? with_video : with_both).push_back(i);
  }
  std::vector<BadClip> failed;
  const auto append = [&](std::vector<BadClip> more) {
    for (BadClip& clip : more) failed.push_back(std::move(clip));
  };
  if (needs_both_inputs(job.model)) {
    for (const auto* group : {&with_audio, &with_video})
      for (const int64_t i : *group)
        failed.push_back({job.clips[i].id, "this network needs both sound and picture"});
    append(embed_pass(job, with_both, Need::both, patient, null_log()));
  } else {
    append(embed_pass(job, with_audio, Need::audio, patient, null_log()));
    append(embed_pass(job, with_video, Need::video, patient, null_log()));
    auto left =
        positions_of(embed_pass(job, with_both, Need::both, patient, null_log()), job.clips, with_both);
    left = positions_of(embed_pass(job, left, Need::audio, patient, null_log()), job.clips, left);
    append(embed_pass(job, left, Need::video, patient, null_log()));
  }
  for (const BadClip& clip : failed) log->warn("{}: {}", clip.id, clip.reason);
  const auto allowed = job.options.loader.max_bad_ratio * static_cast<double>(job.clips.size());
  CAVMAE_CHECK_AS(DataError, static_cast<double>(failed.size()) <= allowed, failed.size(), " of ",
                  job.clips.size(), " clips could not be read, more than max_bad_ratio ",
                  job.options.loader.max_bad_ratio, " allows; the last one: ", failed.back().id, ": ",
                  failed.back().reason);
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

Features embed_batch(CavMae& model, const Inputs& inputs) {
  torch::NoGradGuard no_grad;
  const torch::Device device = model->parameters().front().device();
  Inputs on_device;
  if (inputs.audio.defined()) on_device.audio = inputs.audio.to(device);
  if (inputs.video.defined()) on_device.video = inputs.video.to(device);
  const bool several_pictures = inputs.video.defined() && inputs.video.dim() == 5;
  const Features out = several_pictures ? embed_pictures(model, on_device) : model->features(on_device);
  return {.audio = to_result(out.audio), .video = to_result(out.video)};
}

Embeddings embed_clips(CavMae& model, const FeatureOptions& features, std::vector<ClipSource> clips,
                       const EmbedOptions& options, std::shared_ptr<Log> log) {
  const Need need = resolve_need(model, options.need);
  Progress progress({.title = "embedding",
                     .unit = "clips",
                     .total = static_cast<int64_t>(clips.size()),
                     .quiet = !options.show_progress});
  Collector collector(model->config().embed_dim);
  Job job{.model = model,
          .reader = std::make_shared<const ClipReader>(features, options.cache_dir, log),
          .clips = clips,
          .options = options,
          .progress = progress,
          .collector = collector};
  std::vector<BadClip> failed;
  if (need == Need::any) {
    failed = embed_what_there_is(job, std::move(log));
  } else {
    std::vector<int64_t> all(clips.size());
    std::iota(all.begin(), all.end(), 0);
    failed = embed_pass(job, all, need, options.loader, std::move(log));
  }
  progress.update(collector.size());
  progress.finish();
  Embeddings out = collector.finish(need);
  out.failed = std::move(failed);
  return out;
}

}  // namespace cavmae
