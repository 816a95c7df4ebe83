// CavMae: the network of Gong et al., ICLR 2023, and of every system the paper compares it with. It knows no
// loss. A module: forward calls from several threads are safe while nobody changes its parameters.
#pragma once

#include <memory>
#include <string>

#include "cavmae/core/torch.h"
#include "cavmae/models/cav_mae_config.h"
#include "cavmae/nn/compute.h"
#include "cavmae/nn/masking.h"

namespace cavmae {

struct ModalityEncoder;

// A batch as the network takes it.
struct Inputs {
  torch::Tensor audio;  // float [B, T, F]; undefined when absent
  torch::Tensor video;  // float [B, 3, S, S]; undefined when absent
};

Inputs inputs_on(const Inputs& inputs, torch::Device device);

// What the encoders make of a batch, by stream: `joint` is both modalities through the joint layers, after
// `norm`; `audio` and `video` are each alone through them, after `norm_a` and `norm_v`.
enum class Stream { joint, audio, video };

// The output tokens. A stream that does not exist in the configuration is undefined. A network of one
// modality has its output in `joint`, as the decoder takes it, and again under the modality's name. Which
// tokens stand for what is known here and in CavMaeImpl alone.
struct Latents {
  torch::Tensor joint;             // float [B, Na + Nv, D], audio tokens first
  torch::Tensor audio;             // float [B, Na, D]
  torch::Tensor video;             // float [B, Nv, D]
  torch::Tensor audio_token = {};  // float [B, D], the global token of that stream; undefined without
  torch::Tensor video_token = {};  // float [B, D]
  int64_t joint_audio_tokens = 0;  // Na of `joint`

  // Each result is undefined where the stream is.
  // Of the patches that were kept, in their order: float [B, N, D]
  torch::Tensor patch_tokens(Stream stream) const;
  // The mean of the patch tokens: float [B, D]
  torch::Tensor pooled(Stream stream) const;
  // What speaks for the whole stream, and is compared with that of another: its global token, and where it
  // has none pooled(). float [B, D]
  torch::Tensor global(Stream stream) const;

  // The joint stream's tokens under their modality's name, for a network that has no other stream.
  Latents split_joint() const;
};

// Patches embedded with their positions: float [B, N, D] of each modality, undefined where it is absent.
struct Tokens {
  torch::Tensor audio, video;
};

// Which outputs of the encoders are computed.
struct Streams {
  bool joint = true;   // Latents::joint
  bool single = true;  // Latents::audio and Latents::video
};

// How much the patches of each modality attend to its global token, and the token itself (Note [Patch
// scores]). What was not asked for is undefined.
struct GlobalAttention {
  torch::Tensor audio_scores, video_scores;  // float [B, L]
  torch::Tensor audio_token, video_token;    // float [B, D]
};

struct GlobalParts {
  bool scores = true, tokens = true;
};

// What speaks for each modality, before L2 normalisation: Latents::global(), or with contrastive_pooling mean
// Latents::pooled().
struct Embeddings {
  torch::Tensor audio;  // float [B, D]
  torch::Tensor video;  // float [B, D]
};

enum class PredictionScope { masked, all };

struct Predictions {
  // float [B, La - Na, P*P] with scope masked, in the order of StreamMask::masked; [B, La, P*P] with all
  torch::Tensor audio;
  torch::Tensor video;  // float [B, Lv - Nv, P*P*3] or [B, Lv, P*P*3]
};

class CavMaeImpl : public torch::nn::Module {
 public:
  explicit CavMaeImpl(const CavMaeConfig& config);
  ~CavMaeImpl() override;

  const CavMaeConfig& config() const { return config_; }

  // Draws the masks of a batch: audio first, then video (Note [Mask stream]).
  Masks draw_masks(int64_t batch, const MaskOptions& options, torch::Generator generator) const;

  // Only kept patches are embedded. An input whose shape does not fit throws ConfigError with both shapes.
  // Inputs of a modality that the network lacks are ignored.
  Latents encode(const Inputs& inputs, const Masks& masks);
  // Nothing masked. Either input may be absent; then its streams are undefined and `joint` is undefined. (A
  // network whose only stream is the joint one needs both: ConfigError.)
  Latents encode(const Inputs& inputs);
  // Nothing masked, and those streams alone. The joint stream of one modality without the other is that
  // modality's tokens through the joint layers as they take both, after `norm`. Several pictures of each clip
  // may be given one after another, video float [B * K, 3, S, S]: the sound's own encoder then runs once a
  // clip, and Latents::joint has B * K rows.
  Latents encode(const Inputs& inputs, const Streams& streams);
  // All patches, for several passes with masks of their own over the same inputs.
  Tokens embed_patches(const Inputs& inputs);
  // What encode(inputs, masks) gives, those streams alone.
  Latents encode(const Tokens& patches, const Masks& masks, const Streams& streams);
  // What speaks for each modality of unmasked inputs; for systems without single streams (av-mae), for its
  // part of the joint output. Of several pictures a clip, as above, both embeddings of such a system have
  // B * K rows; else audio has B, video B * K.
  Embeddings embed(const Inputs& inputs);

  // Note [Patch scores]: a patch's score is the mean over the heads of what it attends to the global token,
  // in the last joint layer, each modality alone and nothing masked (TG-DP, CVPR 2026). Both inputs have to
  // be there, and the network has to have global tokens. No gradient. Some clips are encoded at a time, so
  // that a batch for training, of which most is masked there, takes no more memory here.
  GlobalAttention attend_to_global(const Inputs& inputs, const GlobalParts& wanted = {});

  // Rebuilds masked patches (or all) from Latents::joint.
  Predictions decode(const torch::Tensor& joint, const Masks& masks, PredictionScope scope);

  void set_precision(Precision precision);
  Precision precision() const { return compute_.precision; }
  // How it computes; options.device is the caller's, who moves the network there.
  void set_runtime(const RuntimeOptions& options);
  const RuntimeOptions& runtime() const { return compute_.runtime; }
  // Where its parameters lie; inputs and masks have to be there too.
  torch::Device device() const;

 protected:
  // For heads over several pictures of a clip, which takes inputs like encode(inputs, streams).
  // Both modalities as their own encoders leave them, audio beside video: the global tokens, or without them
  // the means of the patches. float [B, 2D]
  torch::Tensor encoder_outputs(const Inputs& inputs);
  // One modality through the joint layers as both go through them, the mean over its patches and its global
  // token. float [B, D]
  torch::Tensor joint_mean(const Inputs& inputs);
  const Compute& compute() const { return compute_; }

 private:
  struct Parts;
  enum class JointOf { both, any };  // what the joint stream needs to be computed
  ModalityEncoder encoder_of(Stream modality);
  Tokens embed_patches(const Inputs& inputs, const Masks& masks);
  // As each modality's own encoder leaves them, a global token before the patches.
  Tokens encode_modalities(const Tokens& embedded);
  Latents encode(const Tokens& embedded, const Streams& streams, JointOf joint_of);
  torch::Tensor decoder_inputs(const torch::Tensor& joint, const Masks& masks);

  CavMaeConfig config_;
  Compute compute_;
  std::unique_ptr<Parts> parts_;
};
TORCH_MODULE(CavMae);

// Initialises as the authors do (Xavier-uniform linears, patch embeddings as linears, normal 0.02 for the
// rest) from a generator of its own.
void initialize(CavMae& model, uint64_t seed);

// Patches of a batch in the model's token order, the reconstruction targets before normalisation.
torch::Tensor patchify_audio(const torch::Tensor& audio, int64_t patch);  // [B, T, F] -> [B, La, P*P]
torch::Tensor patchify_video(const torch::Tensor& video,
                             int64_t patch);  // [B, 3, S, S] -> [B, Lv, P*P*3], channel fastest
torch::Tensor unpatchify_audio(const torch::Tensor& patches, int64_t patch,
                               int64_t num_frames);                           // -> [B, T, F]
torch::Tensor unpatchify_video(const torch::Tensor& patches, int64_t patch);  // -> [B, 3, S, S]

}  // namespace cavmae
