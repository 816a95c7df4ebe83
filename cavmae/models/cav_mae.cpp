#include "cavmae/models/cav_mae.h"

#include <cmath>
#include <vector>

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"
#include "cavmae/models/modality_encoder.h"
#include "cavmae/models/parts.h"
#include "cavmae/nn/patches.h"
#include "cavmae/nn/profile_range.h"
#include "cavmae/nn/profile_ranges.h"

namespace cavmae {
namespace {

void check_shape(const char* name, const torch::Tensor& input, torch::IntArrayRef expected) {
  const bool fits = input.dim() == static_cast<int64_t>(expected.size()) + 1 && input.size(0) > 0 &&
                    input.sizes().slice(1) == expected;
  if (fits) return;
  std::string wanted = "[clips";
  for (const int64_t size : expected) wanted += concat(", ", size);
  throw ConfigError(
      concat(name, " input has the shape ", input.sizes(), "; this network takes ", wanted, "]"));
}

CavMaeConfig validated(const CavMaeConfig& config) {
  config.validate();
  return config;
}

// What goes through the joint layers together: float [B, Na + Nv, D], or the tokens of the one that is there.
// A clip's sound is repeated for each of its pictures.
torch::Tensor join_tokens(const torch::Tensor& audio, const torch::Tensor& video) {
  if (!audio.defined()) return video;
  if (!video.defined()) return audio;
  const int64_t num_pictures = video.size(0) / audio.size(0);
  if (num_pictures == 1) return at::cat({audio, video}, 1);
  return at::cat({audio.repeat_interleave(num_pictures, /*dim=*/0), video}, 1);
}

// Positions of the tokens of both streams in the decoder's sequence. int64 [B, N]
torch::Tensor in_sequence(const torch::Tensor& audio, const torch::Tensor& video, int64_t num_audio_patches) {
  if (!audio.defined()) return video;
  if (!video.defined()) return audio;
  return at::cat({audio, video + num_audio_patches}, 1);
}

}  // namespace

torch::Tensor Latents::patch_tokens(Stream stream) const {
  return stream == Stream::joint ? joint : stream == Stream::audio ? audio : video;
}

torch::Tensor Latents::pooled(Stream stream) const {
  const torch::Tensor tokens = patch_tokens(stream);
  return tokens.defined() ? tokens.mean(1) : tokens;
}

torch::Tensor Latents::global(Stream stream) const {
  const torch::Tensor& token = stream == Stream::video ? video_token : audio_token;
  return stream != Stream::joint && token.defined() ? token : pooled(stream);
}

Latents Latents::split_joint() const {
  return {.joint = joint,
          .audio = joint.narrow(1, 0, joint_audio_tokens),
          .video = joint.narrow(1, joint_audio_tokens, joint.size(1) - joint_audio_tokens),
          .joint_audio_tokens = joint_audio_tokens};
}

Inputs inputs_on(const Inputs& inputs, torch::Device device) {
  return {.audio = to_device(inputs.audio, device), .video = to_device(inputs.video, device)};
}

CavMaeImpl::CavMaeImpl(const CavMaeConfig& config)
    : config_(validated(config)), parts_(std::make_unique<Parts>(*this, config_)) {}

CavMaeImpl::~CavMaeImpl() = default;

void CavMaeImpl::set_precision(Precision precision) {
  compute_.precision = precision;
}

void CavMaeImpl::set_runtime(const RuntimeOptions& options) {
  compute_.runtime = options;
}

torch::Device CavMaeImpl::device() const {
  return parameters(/*recurse=*/false).front().device();
}

Masks CavMaeImpl::draw_masks(int64_t batch, const MaskOptions& options, torch::Generator generator) const {
  options.validate();
  const auto on_device = [where = device()](const StreamMask& mask) {
    return StreamMask{.keep = to_device(mask.keep, where),
                      .masked = to_device(mask.masked, where),
                      .restore = to_device(mask.restore, where),
                      .mask = to_device(mask.mask, where)};
  };
  Masks masks;
  if (config_.has_audio())
    masks.audio = on_device(
        draw_mask(batch, audio_grid(config_), options.mask_ratio_audio, options.audio_mask_mode, generator));
  if (config_.has_video())
    masks.video = on_device(draw_mask(batch, video_grid(config_), options.mask_ratio_video,
                                      AudioMaskMode::unstructured, generator));
  return masks;
}

ModalityEncoder CavMaeImpl::encoder_of(Stream modality) {
  auto& p = *parts_;
  const bool audio = modality == Stream::audio;
  torch::Tensor registers;
  if (config_.registers > 0)
    registers = p.register_tokens.narrow(0, audio ? 0 : p.register_tokens.size(0) - config_.registers,
                                         config_.registers);
  return {.range_name = audio ? ranges::kAudioEncoder : ranges::kVideoEncoder,
          .embedding = audio ? p.patch_embed_a : p.patch_embed_v,
          .blocks = audio ? p.blocks_a : p.blocks_v,
          .positions = audio ? p.pos_embed_a : p.pos_embed_v,
          .modality = audio ? p.modality_a : p.modality_v,
          .global_token = audio ? p.cls_token_a : p.cls_token_v,
          .registers = registers,
          .how = compute_};
}

// Of the modalities that both the network and the inputs have.
Tokens CavMaeImpl::embed_patches(const Inputs& inputs, const Masks& masks) {
  const auto embed = [&](Stream modality, const torch::Tensor& pictures, const StreamMask& mask) {
    return encoder_of(modality).embed(cut_patches(pictures, config_.patch_size, PatchOrder::channels_first),
                                      mask);
  };
  Tokens tokens;
  if (config_.has_audio() && inputs.audio.defined()) {
    check_shape("audio", inputs.audio, {config_.input_frames(), config_.num_mel_bins});
    tokens.audio = embed(Stream::audio, inputs.audio.transpose(1, 2).unsqueeze(1), masks.audio);
  }
  if (config_.has_video() && inputs.video.defined()) {
    check_shape("video", inputs.video, {3, config_.image_size, config_.image_size});
    tokens.video = embed(Stream::video, inputs.video, masks.video);
  }
  CAVMAE_CHECK_AS(ConfigError, tokens.audio.defined() || tokens.video.defined(),
                  "no input that this network could take; its modalities are ",
                  enum_name(config_.modalities));
  return tokens;
}

Tokens CavMaeImpl::encode_modalities(const Tokens& embedded) {
  Tokens tokens;
  if (embedded.audio.defined()) tokens.audio = encoder_of(Stream::audio).encode(embedded.audio);
  if (embedded.video.defined()) tokens.video = encoder_of(Stream::video).encode(embedded.video);
  return tokens;
}

Latents CavMaeImpl::encode(const Tokens& embedded, const Streams& streams, JointOf joint_of) {
  const auto [audio, video] = encode_modalities(embedded);
  const bool both = audio.defined() && video.defined();
  if (both) {
    const int64_t clips = audio.size(0), pictures = video.size(0);
    CAVMAE_CHECK_AS(ConfigError, joint_of == JointOf::any ? pictures % clips == 0 : pictures == clips,
                    "a batch of ", clips, " audio and ", pictures, " video inputs");
  }
  const int64_t num_global = config_.num_global_tokens();
  const auto patches = [&](const torch::Tensor& tokens) {
    return num_global == 0 || !tokens.defined() ? tokens
                                                : tokens.narrow(1, num_global, tokens.size(1) - num_global);
  };
  Latents out;
  if (audio.defined()) out.joint_audio_tokens = audio.size(1) - num_global;
  if (config_.joint_streams == JointStreams::none) {
    out.joint = parts_->norm(audio.defined() ? audio : video);
    (audio.defined() ? out.audio : out.video) = out.joint;
    return out;
  }
  CAVMAE_CHECK_AS(ConfigError, both || joint_of == JointOf::any || config_.has_single_streams(),
                  "this network joins audio and video and has no output for one alone; give it both");
  const ProfileRange range(ranges::kJointLayers);
  auto& joint_layers = parts_->blocks_u;
  // Each stream goes through all the joint layers on its own.
  if (streams.joint && (both || joint_of == JointOf::any) && !parts_->norm.is_empty())
    out.joint =
        parts_->norm(joint_layers(join_tokens(patches(audio), patches(video)), NormSet::joint, compute_));
  if (!streams.single || !config_.has_single_streams()) return out;
  const auto take = [&](const torch::Tensor& tokens, torch::Tensor& of_patches, torch::Tensor& global_token) {
    of_patches = patches(tokens);
    if (num_global > 0) global_token = tokens.select(1, 0);
  };
  if (audio.defined())
    take(parts_->norm_a(joint_layers(audio, NormSet::audio, compute_)), out.audio, out.audio_token);
  if (video.defined())
    take(parts_->norm_v(joint_layers(video, NormSet::video, compute_)), out.video, out.video_token);
  return out;
}

Tokens CavMaeImpl::embed_patches(const Inputs& inputs) {
  return embed_patches(inputs, Masks{});
}

Latents CavMaeImpl::encode(const Tokens& patches, const Masks& masks, const Streams& streams) {
  const auto kept = [](const torch::Tensor& tokens, const StreamMask& mask) {
    return tokens.defined() ? pick_tokens(tokens, mask.keep) : tokens;
  };
  return encode({.audio = kept(patches.audio, masks.audio), .video = kept(patches.video, masks.video)},
                streams, JointOf::both);
}

Latents CavMaeImpl::encode(const Inputs& inputs, const Masks& masks) {
  CAVMAE_CHECK_AS(
      ConfigError,
      (inputs.audio.defined() || !config_.has_audio()) && (inputs.video.defined() || !config_.has_video()),
      "masked inputs must have every modality of the network: ", enum_name(config_.modalities));
  return encode(embed_patches(inputs, masks), Streams{}, JointOf::both);
}

Latents CavMaeImpl::encode(const Inputs& inputs) {
  return encode(embed_patches(inputs), Streams{}, JointOf::both);
}

Latents CavMaeImpl::encode(const Inputs& inputs, const Streams& streams) {
  return encode(embed_patches(inputs), streams, JointOf::any);
}

Embeddings CavMaeImpl::embed(const Inputs& inputs) {
  const bool single = config_.joint_streams != JointStreams::concat;
  const bool both = inputs.audio.defined() && inputs.video.defined();
  const Latents latents = encode(embed_patches(inputs), {.joint = !single, .single = single},
                                 both ? JointOf::any : JointOf::both);
  const Latents of_modalities = single ? latents : latents.split_joint();
  const auto vector = [&](Stream stream) {
    return config_.contrastive_pooling == ContrastivePooling::mean ? of_modalities.pooled(stream)
                                                                   : of_modalities.global(stream);
  };
  return {.audio = vector(Stream::audio), .video = vector(Stream::video)};
}

// The full sequence of both streams: embedded latents where patches are visible, the mask token elsewhere.
// -> float [B, La + Lv, E]
torch::Tensor CavMaeImpl::decoder_inputs(const torch::Tensor& joint, const Masks& masks) {
  const ProfileRange range(ranges::kDecoderInputs);
  const auto& p = *parts_;
  std::vector<torch::Tensor> places;  // float [1, L, E] of each stream
  if (config_.has_audio()) places.push_back(p.decoder_pos_embed_a + p.decoder_modality_a);
  if (config_.has_video()) places.push_back(p.decoder_pos_embed_v + p.decoder_modality_v);
  const auto place = at::cat(places, 1);
  const auto visible = in_sequence(masks.audio.keep, masks.video.keep, config_.num_audio_patches());
  CAVMAE_CHECK(joint.dim() == 3 && joint.sizes().slice(0, 2) == visible.sizes(), "latents ", joint.sizes(),
               " do not belong to masks that keep ", visible.sizes());
  const auto embedded = parts_->decoder_embed(joint, compute_);
  return place_tokens(embedded, p.mask_token, visible, place.size(1)).add_(place);
}

Predictions CavMaeImpl::decode(const torch::Tensor& joint, const Masks& masks, PredictionScope scope) {
  CAVMAE_CHECK_AS(ConfigError, config_.decoder_depth > 0,
                  "this network has no decoder (decoder_depth is 0), so it cannot rebuild patches");
  CAVMAE_CHECK(
      masks.audio.keep.defined() == config_.has_audio() && masks.video.keep.defined() == config_.has_video(),
      "the masks are not of the network's modalities");
  const auto inputs = decoder_inputs(joint, masks);
  torch::Tensor tokens;
  {
    const ProfileRange range(ranges::kDecoder);
    auto& blocks = parts_->decoder_blocks;
    const auto masked = in_sequence(masks.audio.masked, masks.video.masked, config_.num_audio_patches());
    tokens = parts_->decoder_norm(scope == PredictionScope::masked
                                      ? blocks->forward_picked(inputs, masked, NormSet::joint, compute_)
                                      : blocks(inputs, NormSet::joint, compute_));
  }
  const ProfileRange range(ranges::kHeads);
  int64_t num_audio = 0;
  if (config_.has_audio())
    num_audio = scope == PredictionScope::masked ? masks.audio.masked.size(1) : config_.num_audio_patches();
  Predictions out;
  if (config_.has_audio()) out.audio = parts_->decoder_pred_a(tokens.narrow(1, 0, num_audio), compute_);
  if (config_.has_video())
    out.video = parts_->decoder_pred_v(tokens.narrow(1, num_audio, tokens.size(1) - num_audio), compute_);
  return out;
}

}  // namespace cavmae
