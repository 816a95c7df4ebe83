#include "cavmae/models/classifier.h"

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"
#include "cavmae/nn/profile_range.h"
#include "cavmae/nn/profile_ranges.h"

namespace cavmae {
namespace {

const CavMaeConfig& validated(const CavMaeConfig& encoder, const HeadOptions& head) {
  validate(encoder, head);
  return encoder;
}

void add(std::vector<torch::Tensor>& outputs, const torch::Tensor& pooled) {
  if (pooled.defined()) outputs.push_back(pooled);
}

}  // namespace

bool is_of_head(const std::string& parameter) {
  return parameter.starts_with("mlp_head.") || parameter.starts_with("classifier_") ||
         parameter == "cls_cls_token";
}

void validate(const CavMaeConfig& encoder, const HeadOptions& head) {
  CAVMAE_CHECK_AS(ConfigError, head.num_classes >= 1, "num_classes is ", head.num_classes,
                  ", it must be at least 1");
  CAVMAE_CHECK_AS(ConfigError, encoder.modalities == Modalities::both || encoder.modalities == head.mode,
                  "--mode ", enum_name(head.mode), ": the network's modalities are ",
                  enum_name(encoder.modalities), "; choose --mode ", enum_name(encoder.modalities),
                  " or another checkpoint");
  CAVMAE_CHECK_AS(
      ConfigError, head.representation != Representation::global || encoder.has_single_streams(),
      "--representation global takes what speaks for sound and pictures alone, and this network has no such "
      "streams");
  CAVMAE_CHECK_AS(
      ConfigError,
      head.head_kind == HeadKind::linear || head.mode == Modalities::both ||
          encoder.joint_streams != JointStreams::separate,
      "head_kind self_attention of one modality needs the joint layers as both modalities go through "
      "them, but joint_streams is audio_video");
}

ClassifierImpl::ClassifierImpl(const CavMaeConfig& encoder, const HeadOptions& head)
    : CavMaeImpl(validated(encoder, head).without_decoder()), head_options_(head) {
  if (attends_to_pictures())
    register_self_attention_head();
  else
    register_linear_head();
}

void ClassifierImpl::register_linear_head() {
  const int64_t width = config().embed_dim;
  auto layers = register_module("mlp_head", std::make_shared<torch::nn::Module>());
  head_norm_ = layers->register_module("0", LayerNorm(width));
  head_linear_ = layers->register_module("1", Linear(width, head_options_.num_classes));
}

void ClassifierImpl::register_self_attention_head() {
  constexpr int64_t kBlocks = 2;
  const int64_t width = config().embed_dim * (head_options_.mode == Modalities::both ? 2 : 1);
  const BlockOptions options{.width = width,
                             .heads = config().num_heads,
                             .mlp_ratio = config().mlp_ratio,
                             .norms = {NormSet::joint, NormSet::audio, NormSet::video}};
  head_token_ = register_parameter("cls_cls_token", torch::zeros({1, 1, width}));
  head_blocks_ = register_module("classifier_layers", BlockStack(kBlocks, options));
  head_norm_ = register_module("classifier_norm", LayerNorm(width));
  head_linear_ = register_module("classifier_head", Linear(width, head_options_.num_classes));
}

// float [B, K, W]
torch::Tensor ClassifierImpl::pooled_pictures(const Inputs& inputs) {
  const bool several_segments = inputs.audio.defined() && inputs.audio.dim() == 4;
  const bool several_pictures = inputs.video.defined() && inputs.video.dim() == 5;
  const int64_t clips = inputs.audio.defined() ? inputs.audio.size(0) : inputs.video.size(0);
  const Inputs rows{.audio = several_segments ? inputs.audio.flatten(0, 1) : inputs.audio,
                    .video = several_pictures ? inputs.video.flatten(0, 1) : inputs.video};
  const torch::Tensor vectors =
      head_options_.mode == Modalities::both ? encoder_outputs(rows) : joint_mean(rows);
  return vectors.view({clips, -1, vectors.size(1)});
}

torch::Tensor ClassifierImpl::pooled(const Inputs& inputs) {
  const Modalities mode = head_options_.mode;
  Inputs used;
  if (mode != Modalities::video) used.audio = inputs.audio;
  if (mode != Modalities::audio) used.video = inputs.video;
  CAVMAE_CHECK_AS(ConfigError, used.audio.defined() || used.video.defined(), "this classifier takes ",
                  mode == Modalities::both    ? "audio or video"
                  : mode == Modalities::audio ? "sound"
                                              : "pictures",
                  ", and got none");
  if (attends_to_pictures()) return pooled_pictures(used);
  if (head_options_.representation == Representation::global) return pooled_global(used);
  const bool two_passes = mode == Modalities::both && (!used.audio.defined() || !used.video.defined());
  const bool sum = mode == Modalities::both && head_options_.representation == Representation::sum;
  const bool has_joint = config().joint_streams != JointStreams::separate;
  const Streams streams{
      .joint = mode == Modalities::both || !config().has_single_streams(),
      .single = mode != Modalities::both || two_passes || sum || !has_joint,
  };
  const Latents latents = encode(used, streams);
  std::vector<torch::Tensor> outputs;  // float [B, D] each
  if (streams.joint) add(outputs, latents.pooled(Stream::joint));
  if (streams.single && config().has_single_streams()) {
    add(outputs, latents.pooled(Stream::audio));
    add(outputs, latents.pooled(Stream::video));
  }
  const int64_t rows = used.video.defined() ? used.video.size(0) : used.audio.size(0);
  torch::Tensor total;
  for (const torch::Tensor& output : outputs) {
    const int64_t pictures = rows / output.size(0);  // of each clip; more than 1 where sound was encoded once
    const torch::Tensor row_each = pictures == 1 ? output : output.repeat_interleave(pictures, /*dim=*/0);
    total = total.defined() ? total + row_each : row_each;
  }
  return sum || outputs.size() == 1 ? total : total / static_cast<double>(outputs.size());
}

torch::Tensor ClassifierImpl::pooled_global(const Inputs& inputs) {
  const Latents latents = encode(inputs, {.joint = false, .single = true});
  const bool mean = config().contrastive_pooling == ContrastivePooling::mean;
  torch::Tensor audio = mean ? latents.pooled(Stream::audio) : latents.global(Stream::audio);
  const torch::Tensor video = mean ? latents.pooled(Stream::video) : latents.global(Stream::video);
  if (!audio.defined() || !video.defined()) return audio.defined() ? audio : video;
  const int64_t pictures = video.size(0) / audio.size(0);
  if (pictures > 1) audio = audio.repeat_interleave(pictures, /*dim=*/0);
  return (audio + video) / 2;
}

torch::Tensor ClassifierImpl::classify(const torch::Tensor& pooled) {
  const ProfileRange range(ranges::kHeads);
  if (!attends_to_pictures()) return head_linear_(head_norm_(pooled), precision());
  const torch::Tensor sequence = at::cat({head_token_.expand({pooled.size(0), 1, -1}), pooled}, 1);
  const torch::Tensor token = head_blocks_(sequence, NormSet::joint, compute()).select(1, 0).contiguous();
  return head_linear_(head_norm_(token), precision());
}

torch::Tensor ClassifierImpl::classify_frames(const Inputs& inputs) {
  if (attends_to_pictures()) return forward(inputs).unsqueeze(1);
  const bool sees = head_options_.mode != Modalities::audio && inputs.video.defined();
  const bool has_segments = inputs.audio.defined() && inputs.audio.dim() == 4;
  const torch::Tensor audio = has_segments ? inputs.audio.flatten(0, 1) : inputs.audio;
  const int64_t clips = sees ? inputs.video.size(0) : inputs.audio.size(0);
  const torch::Tensor video = sees ? inputs.video.flatten(0, 1) : torch::Tensor();
  return forward({.audio = audio, .video = video}).view({clips, -1, head_options_.num_classes});
}

std::vector<std::string> ClassifierImpl::head_parameter_names() const {
  std::vector<std::string> names;
  for (const auto& item : named_parameters())
    if (is_of_head(item.key())) names.push_back(item.key());
  return names;
}

CavMae as_network(const Classifier& classifier) {
  return CavMae(std::static_pointer_cast<CavMaeImpl>(classifier.ptr()));
}

}  // namespace cavmae
