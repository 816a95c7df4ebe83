// The network of CAV-MAE Sync against its authors' code: every stage, loss and gradient.
#include "tests/support/sync_golden.h"

#include "cavmae/core/options.h"
#include "cavmae/features/segments.h"
#include "cavmae/losses/classification.h"
#include "cavmae/models/classifier.h"
#include "cavmae/nn/patches.h"

#include "tests/models/plain_twin.h"
#include "tests/models/toy_model.h"

namespace cavmae {
namespace {

using testing_support::IsNear;
using testing_support::kSyncTolerance;
using testing_support::sync_config;
using testing_support::sync_golden_path;
using testing_support::SyncGolden;

// What the authors' code does besides, and is not followed here, and which vectors it touches. Equal at one
// joint layer: each such layer takes the same input and the last one's output stays; here they are chained
// (StreamsEqualThePlainTwin has two). Left out when the vectors were made: pictures are rebuilt on a grid of
// 14 x 14 whatever their size (out.pred_video), the "unmasked" pass of the teacher is shuffled (teacher.*,
// which stand in natural order). The vectors have no case of: registers that stay through the joint layers,
// ratios of masks that are drawn, a batch of one, weights of 0, patch outputs in place of class tokens, a
// loss whose wrong pairs count as 0, equal scores (clips.*, case.*), and of the classifier `concat_mlp`, no
// aggregation and a modality that is missing.

struct Variant {
  const char* prefix;
  bool global_tokens;
  int64_t registers;
  ContrastivePooling pooling;
};
const Variant kVariants[] = {{"", true, 3, ContrastivePooling::global},
                             {"global_local.", true, 3, ContrastivePooling::both},
                             {"plain.", false, 0, ContrastivePooling::global},
                             {"cls_only.", true, 0, ContrastivePooling::global},
                             {"registers_only.", false, 3, ContrastivePooling::global}};

// Also without the parameters that a variant has not.
CavMae model_of(const Variant& variant, const NamedTensors& values, Kernels kernels) {
  CavMaeConfig config = sync_config();
  config.global_tokens = variant.global_tokens;
  config.registers = variant.registers;
  config.contrastive_pooling = variant.pooling;
  CavMae model(config);
  RuntimeOptions runtime;
  runtime.kernels = kernels;
  model->set_runtime(runtime);
  const torch::NoGradGuard no_grad;
  for (auto& item : model->named_parameters())
    for (const auto& [name, value] : values)
      if (name == item.key()) item.value().copy_(value);
  return model;
}

struct StepOutputs {
  Latents latents;
  torch::Tensor loss, audio, video, contrastive, accuracy;
};

StepOutputs step(CavMae& model, const Inputs& inputs, const Masks& masks) {
  StepOutputs out;
  out.latents = model->encode(inputs, masks);
  const Predictions predictions = model->decode(out.latents.joint, masks, PredictionScope::masked);
  const auto error = [&](const torch::Tensor& prediction, const torch::Tensor& patches,
                         const StreamMask& mask) {
    return reconstruction_loss(prediction, masked_targets(patches, mask.masked, {}));
  };
  out.audio = error(predictions.audio, patchify_audio(inputs.audio, 16), masks.audio);
  out.video = error(predictions.video, patchify_video(inputs.video, 16), masks.video);
  const auto contrast = [&](const torch::Tensor& audio, const torch::Tensor& video) {
    return contrastive_loss(audio, video, {}, World::alone());
  };
  const Latents& l = out.latents;
  ContrastiveResult result = contrast(l.global(Stream::audio), l.global(Stream::video));
  if (model->config().contrastive_pooling == ContrastivePooling::both) {
    const ContrastiveResult local = contrast(l.pooled(Stream::audio), l.pooled(Stream::video));
    result = {.loss = (result.loss + local.loss) / 2, .accuracy = (result.accuracy + local.accuracy) / 2};
  }
  out.contrastive = result.loss;
  out.accuracy = result.accuracy;
  out.loss = out.audio + out.video + 0.1 * result.loss;
  return out;
}

torch::Tensor logits_of(const torch::Tensor& audio, const torch::Tensor& video) {
  const auto unit = [](const torch::Tensor& x) { return x / x.norm(2, -1, true); };
  return unit(audio).matmul(unit(video).t()) / 0.05;
}

class SyncPretraining : public ::testing::TestWithParam<Kernels> {
 protected:
  void SetUp() override {
    golden_ = std::make_unique<SyncGolden>(sync_golden_path("sync_pretrain.safetensors"));
    values_ = golden_->parameters();
    inputs_ = {.audio = golden_->take("input.audio"), .video = golden_->take("input.video")};
  }

  Masks draw(CavMae& model) const { return model->draw_masks(4, {}, at::detail::createCPUGenerator(77)); }

  void compare_masks(const Masks& masks) {
    auto generator = at::detail::createCPUGenerator(77);
    EXPECT_TRUE(at::rand({4, 32}, generator).equal(golden_->take("mask.noise_audio")));
    EXPECT_TRUE(at::rand({4, 9}, generator).equal(golden_->take("mask.noise_video")));
    for (const auto& [name, mask] : {std::pair("audio", &masks.audio), std::pair("video", &masks.video)}) {
      const std::string end = name;
      EXPECT_TRUE(mask->keep.equal(golden_->take("mask.keep_" + end)));
      EXPECT_TRUE(mask->restore.equal(golden_->take("out.restore_" + end)));
      EXPECT_TRUE(mask->mask.equal(golden_->take("out.mask_" + end)));
    }
  }

  // Stages inside the network: those of the plain twin, to which tests of their own hold it, and what the
  // network shows of them.
  void compare_stages(CavMae& model, const Masks& masks) {
    const Tokens embedded = model->embed_patches(inputs_);
    golden_->expect_near(embedded.audio, "stage.embedded_audio");
    golden_->expect_near(embedded.video, "stage.embedded_video");
    golden_->expect_near(pick_tokens(embedded.audio, masks.audio.keep), "stage.visible_audio");
    golden_->expect_near(pick_tokens(embedded.video, masks.video.keep), "stage.visible_video");
    const auto twin = testing_support::plain_stages(model, inputs_, masks);
    for (const auto& [name, tensor] : twin) golden_->expect_near(tensor, "stage." + name);
    const auto p = model->named_parameters();
    const auto& joint = twin.at("joint_out");
    golden_->expect_near(testing_support::plain_norm(p, "norm", joint), "out.latent");
    const auto decoder = testing_support::plain_decoder_stages(model, joint_latents(model, masks), masks);
    for (const auto& [name, tensor] : decoder) golden_->expect_near(tensor, "stage." + name);
  }
  torch::Tensor joint_latents(CavMae& model, const Masks& masks) const {
    return model->encode(inputs_, masks).joint;
  }

  void compare_outputs(CavMae& model, const Variant& variant, const Masks& masks) {
    const std::string prefix = std::string(variant.prefix) + "out.";
    const StepOutputs out = step(model, inputs_, masks);
    const auto compare = [&](const torch::Tensor& actual, const std::string& name) {
      if (golden_->has(prefix + name)) golden_->expect_near(actual, prefix + name);
    };
    const Latents& l = out.latents;
    compare(l.joint, "latent");
    compare(l.audio, "joint_audio");
    compare(l.video, "joint_video");
    compare(l.audio_token, "cls_audio");
    compare(l.video_token, "cls_video");
    const Predictions all = model->decode(l.joint, masks, PredictionScope::all);
    compare(all.audio, "pred_audio");
    compare(all.video, "pred_video");
    compare(out.loss, "loss");
    compare(out.audio, "loss_audio");
    compare(out.video, "loss_video");
    compare(out.contrastive, "loss_contrastive");
    compare(out.accuracy, "accuracy");
    const auto global_audio = l.global(Stream::audio), global_video = l.global(Stream::video);
    const auto local_audio = l.pooled(Stream::audio), local_video = l.pooled(Stream::video);
    compare(logits_of(global_audio, global_video), "logits");
    compare(logits_of(local_audio, local_video), "logits_local");
    const auto global = contrastive_loss(global_audio, global_video, {}, World::alone());
    const auto local = contrastive_loss(local_audio, local_video, {}, World::alone());
    compare(global.loss, "loss_global");
    compare(global.accuracy, "accuracy_global");
    compare(local.loss, "loss_local");
    compare(local.accuracy, "accuracy_local");
    out.loss.backward();
    compare_gradients(model, variant);
  }

  void compare_gradients(CavMae& model, const Variant& variant) {
    const std::string prefix = std::string(variant.prefix) + "grad.";
    const bool lists_all = *variant.prefix == '\0';
    for (const auto& item : model->named_parameters()) {
      const auto& gradient = item.value().grad();
      const std::string name = prefix + item.key();
      if (golden_->has(name)) {
        golden_->expect_near(gradient, name);
      } else if (lists_all) {
        EXPECT_FALSE(gradient.defined()) << item.key();
      }
    }
  }

  std::unique_ptr<SyncGolden> golden_;
  NamedTensors values_;
  Inputs inputs_;
};

TEST_P(SyncPretraining, EveryTensorOfTheAuthorsAgrees) {
  for (const Variant& variant : kVariants) {
    CavMae model = model_of(variant, values_, GetParam());
    const Masks masks = draw(model);
    if (*variant.prefix == '\0') {
      compare_masks(masks);
      compare_stages(model, masks);
      for (const auto& item : model->named_parameters())
        if (item.key().find("pos_embed") != std::string::npos) {
          const CavMae fresh(model->config());
          EXPECT_THAT(fresh->named_parameters()[item.key()], IsNear(item.value(), 1e-6)) << item.key();
        }
    }
    compare_outputs(model, variant, masks);
  }
}

INSTANTIATE_TEST_SUITE_P(All, SyncPretraining,
                         ::testing::Values(Kernels::fused, Kernels::library, Kernels::plain));

// ---- against the plain twin

// Lengths that the kernels' tiles do not divide: 1 + 52 + 8 audio tokens among them.
TEST(SyncNetwork, StreamsEqualThePlainTwin) {
  struct Case {
    bool global_tokens;
    int64_t registers, frames;
    double ratio;
  };
  for (const Case& c : {Case{true, 8, 416, 0.75}, Case{true, 0, 96, 0.75}, Case{false, 5, 96, 0.5},
                        Case{true, 1, 48, 0.0}, Case{true, 3, 96, 0.9}}) {
    CavMaeConfig config = testing_support::small_config();
    config.num_mel_bins = c.frames == 416 ? 128 : 32;
    config.num_fbank_frames = c.frames;
    config.global_tokens = c.global_tokens;
    config.registers = c.registers;
    config.joint_depth = 2;  // each stream through both, one after the other
    for (const Kernels kernels : {Kernels::fused, Kernels::library, Kernels::plain}) {
      CavMae model = testing_support::random_model(config, 5);
      RuntimeOptions runtime;
      runtime.kernels = kernels;
      model->set_runtime(runtime);
      const Inputs inputs = testing_support::random_inputs(config, 3, 6);
      const Masks masks = model->draw_masks(3, {.mask_ratio_audio = c.ratio, .mask_ratio_video = 0.5},
                                            at::detail::createCPUGenerator(7));
      const auto sum = [](const Latents& l) {
        torch::Tensor total = l.joint.square().sum() + l.audio.square().sum() + l.video.pow(3).sum();
        if (l.audio_token.defined()) total = total + l.audio_token.pow(3).sum() + l.video_token.sum();
        return total;
      };
      const Latents expected = testing_support::plain_encode(model, inputs, masks);
      sum(expected).backward();
      std::vector<torch::Tensor> gradients;
      for (auto& parameter : model->parameters()) {
        gradients.push_back(parameter.grad().defined() ? parameter.grad().clone() : torch::Tensor());
        parameter.mutable_grad() = torch::Tensor();
      }
      const Latents latents = model->encode(inputs, masks);
      const Latents of_patches = model->encode(model->embed_patches(inputs), masks, Streams{});
      for (const Latents* l : {&latents, &of_patches}) {
        EXPECT_THAT(l->joint, IsNear(expected.joint, 1e-5));
        EXPECT_THAT(l->audio, IsNear(expected.audio, 1e-5));
        EXPECT_THAT(l->video, IsNear(expected.video, 1e-5));
        EXPECT_EQ(l->audio_token.defined(), c.global_tokens);
        if (!c.global_tokens) continue;
        EXPECT_THAT(l->audio_token, IsNear(expected.audio_token, 1e-5));
        EXPECT_THAT(l->video_token, IsNear(expected.video_token, 1e-5));
      }
      sum(latents).backward();
      size_t i = 0;
      for (const auto& item : model->named_parameters()) {
        const torch::Tensor& wanted = gradients[i++];
        ASSERT_EQ(item.value().grad().defined(), wanted.defined()) << item.key();
        if (!wanted.defined()) continue;
        EXPECT_THAT(item.value().grad(), IsNear(wanted, 2e-4)) << item.key();
      }
    }
  }
}

TEST(SyncNetwork, PatchTokensAndPooledIgnoreLearnedTokens) {
  CavMaeConfig config = testing_support::small_config();
  config.global_tokens = true;
  config.registers = 4;
  CavMae model = testing_support::random_model(config, 5);
  const Latents latents = model->encode(testing_support::random_inputs(config, 2, 6));
  EXPECT_EQ(latents.patch_tokens(Stream::audio).size(1), config.num_audio_patches());
  EXPECT_EQ(latents.patch_tokens(Stream::video).size(1), config.num_video_patches());
  EXPECT_EQ(latents.joint.size(1), config.num_audio_patches() + config.num_video_patches());
  EXPECT_TRUE(latents.pooled(Stream::audio).equal(latents.audio.mean(1)));
  EXPECT_TRUE(latents.global(Stream::audio).equal(latents.audio_token));
  EXPECT_TRUE(latents.global(Stream::joint).equal(latents.joint.mean(1)));
}

TEST(SyncNetwork, AWhollyMaskedStreamKeepsItsGlobalToken) {
  CavMaeConfig config = testing_support::small_config();
  config.global_tokens = true;
  config.registers = 2;
  CavMae model = testing_support::random_model(config, 5);
  const Masks masks = model->draw_masks(2, {.mask_ratio_audio = 1.0, .mask_ratio_video = 0.5},
                                        at::detail::createCPUGenerator(1));
  const Latents latents = model->encode(testing_support::random_inputs(config, 2, 6), masks);
  EXPECT_EQ(latents.audio.size(1), 0);
  EXPECT_TRUE(latents.audio_token.isfinite().all().item<bool>());
}

// ---- the head over a clip's pictures

class SyncClassifier : public ::testing::TestWithParam<Modalities> {
 protected:
  static std::string prefix() {
    return GetParam() == Modalities::both ? "multimodal." : enum_name(GetParam()) + "only.";
  }
};

Inputs retrieval_inputs() {
  const TensorFile file = read_safetensors(sync_golden_path("sync_retrieval.safetensors"));
  const SegmentPlan plan{.num_pictures = 4, .clip_frames = 112, .segment_frames = 64};
  const auto mean = torch::tensor({0.485, 0.456, 0.406}), std = torch::tensor({0.229, 0.224, 0.225});
  std::vector<torch::Tensor> audio;
  for (int64_t clip = 0; clip < 3; ++clip)
    for (int64_t k = 0; k < 4; ++k)
      audio.push_back((cut_segment(file.at("input.fbank")[clip], plan, k) + 5.081) / 4.4849);
  const auto video = (file.at("input.frames").to(torch::kFloat64) / 255.0 - mean) / std;  // [3, 4, S, S, 3]
  return {.audio = at::stack(audio).view({3, 4, 64, 128}),
          .video = video.permute({0, 1, 4, 2, 3}).to(torch::kFloat32).contiguous()};
}

TEST_P(SyncClassifier, LogitsAndGradientsAreTheAuthors) {
  SyncGolden golden(sync_golden_path("sync_classifier.safetensors"));
  CavMaeConfig config = sync_config();
  config.train_positions = true;
  Classifier classifier(
      config, HeadOptions{.num_classes = 5, .mode = GetParam(), .head_kind = HeadKind::self_attention});
  const std::string head = GetParam() == Modalities::both ? "head." : "head_single.";
  {
    const torch::NoGradGuard no_grad;
    const TensorFile weights = read_safetensors(sync_golden_path("sync_pretrain.safetensors"));
    for (auto& item : classifier->named_parameters())
      item.value().copy_(is_of_head(item.key()) ? golden.take(head + item.key())
                                                : weights.at("param." + item.key()));
  }
  const Inputs inputs = retrieval_inputs();
  const torch::Tensor vectors = classifier->pooled(inputs);
  if (GetParam() == Modalities::both) golden.expect_near(vectors.flatten(0, 1), "feat.cls");
  const auto token = classifier->named_parameters()["cls_cls_token"];
  golden.expect_near(at::cat({token.expand({3, 1, -1}), vectors}, 1), prefix() + "sequence");
  const torch::Tensor logits = classifier->classify(vectors);
  golden.expect_near(logits, prefix() + "logits");
  const torch::Tensor loss = classification_loss(ClassificationLoss::bce, logits, golden.take("target"));
  golden.expect_near(loss, prefix() + "bce");
  loss.backward();
  for (const auto& item : classifier->named_parameters()) {
    const std::string name = prefix() + "grad." + item.key();
    if (golden.has(name)) golden.expect_near(item.value().grad(), name);
  }
  // Those of the other modes are compared by the other instances of this test.
  for (const char* other : {"multimodal.", "audioonly.", "videoonly.", "head.", "head_single.", "feat."})
    if (other != prefix() && other != head &&
        (other != std::string("feat.") || GetParam() != Modalities::both))
      golden.pass_over(other);
}

INSTANTIATE_TEST_SUITE_P(Modes, SyncClassifier,
                         ::testing::Values(Modalities::both, Modalities::audio, Modalities::video));

// ---- what files of before say

TEST(SyncOptions, AreAbsentFromJsonWhileTheyHaveTheirDefaults) {
  for (const char* name : CavMaeConfig::kAbsentByDefault)
    EXPECT_FALSE(option_to_json(CavMaeConfig()).contains(name)) << name;
  for (const char* name : InputSpec::kAbsentByDefault)
    EXPECT_FALSE(option_to_json(InputSpec()).contains(name)) << name;
  EXPECT_FALSE(option_to_json(HeadOptions()).contains("head_kind"));
  EXPECT_EQ(option_to_json(sync_config()).at("registers"), 3);
}

TEST(SyncOptions, ThatDoNotFitAreNamed) {
  CavMaeConfig config = testing_support::small_config();
  config.registers = -1;
  config.contrastive_pooling = ContrastivePooling::both;
  config.audio_window_frames = 100;
  EXPECT_THAT([&] { config.validate(); },
              ::testing::ThrowsMessage<ConfigError>(::testing::AllOf(
                  ::testing::HasSubstr("registers is -1"), ::testing::HasSubstr("needs global_tokens"),
                  ::testing::HasSubstr("audio_window_frames is 100"))));
}

}  // namespace
}  // namespace cavmae
