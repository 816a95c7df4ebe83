#include "cavmae/models/classifier.h"

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"
#include "cavmae/core/profile_range.h"
#include "cavmae/nn/profile_ranges.h"

namespace cavmae {
namespace {

CavMaeConfig without_decoder(CavMaeConfig config) {
  config.decoder_depth = 0;
  return config;
}

const CavMaeConfig& validated(const CavMaeConfig& encoder, const HeadOptions& head) {
  validate(encoder, head);
  return encoder;
}

void add(std::vector<torch::Tensor>& outputs, const torch::Tensor& pooled) {
  if (pooled.defined()) outputs.push_back(pooled);
}

}  // namespace

void validate(const CavMaeConfig& encoder, const HeadOptions& head) {
  CAVMAE_CHECK_AS(ConfigError, head.num_classes >= 1, "num_classes is ", head.num_classes,
                  ", it must be at least 1");
  CAVMAE_CHECK_AS(ConfigError, encoder.modalities == Modalities::both || encoder.modalities == head.mode,
                  "--mode ", enum_name(head.mode), ": the network's modalities are ",
                  enum_name(encoder.modalities), "; choose --mode ", enum_name(encoder.modalities),
                  " or another checkpoint");
}

ClassifierImpl::ClassifierImpl(const CavMaeConfig& encoder, const HeadOptions& head)
    : CavMaeImpl(without_decoder(validated(encoder, head))),
      head_options_(head),
      head_norm_(encoder.embed_dim),
      head_linear_(encoder.embed_dim, head.num_classes) {
  auto layers = register_module("mlp_head", std::make_shared<torch::nn::Module>());
  layers->register_module("0", head_norm_);
  layers->register_module("1", head_linear_);
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

torch::Tensor ClassifierImpl::classify(const torch::Tensor& pooled) {
  const ProfileRange range(ranges::kHeads);
  return head_linear_(head_norm_(pooled), precision());
}

torch::Tensor ClassifierImpl::classify_frames(const Inputs& inputs) {
  const bool sees = head_options_.mode != Modalities::audio && inputs.video.defined();
  if (!sees) return forward({.audio = inputs.audio, .video = {}}).unsqueeze(1);
  const int64_t clips = inputs.video.size(0), pictures = inputs.video.size(1);
  return forward({.audio = inputs.audio, .video = inputs.video.flatten(0, 1)}).view({clips, pictures, -1});
}

std::vector<std::string> ClassifierImpl::head_parameter_names() const {
  return {"mlp_head.0.weight", "mlp_head.0.bias", "mlp_head.1.weight", "mlp_head.1.bias"};
}

CavMae as_network(const Classifier& classifier) {
  return CavMae(std::static_pointer_cast<CavMaeImpl>(classifier.ptr()));
}

}  // namespace cavmae
