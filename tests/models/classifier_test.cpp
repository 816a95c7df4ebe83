// The classifier against the authors' PyTorch code, and what holds for every network and mode.
#include "cavmae/models/classifier.h"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"

#include "tests/models/toy_model.h"
#include "tests/support/test_device.h"

namespace cavmae {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_support::golden;
using testing_support::golden_config;
using testing_support::golden_path;
using testing_support::IsNear;
using testing_support::random_inputs;
using testing_support::small_config;

constexpr double kClassifierTolerance = 1e-5;

// Layer norms away from (1, 0), biases away from 0.
Classifier random_classifier(const CavMaeConfig& config, const HeadOptions& head, uint64_t seed = 1) {
  Classifier classifier(config, head);
  CavMae network = as_network(classifier);
  initialize(network, seed);
  const torch::NoGradGuard no_grad;
  auto generator = at::detail::createCPUGenerator(seed + 1);
  for (auto& parameter : classifier->parameters())
    if (parameter.requires_grad()) parameter.add_(torch::empty_like(parameter).normal_(0, 0.1, generator));
  return classifier;
}

void expect_equal(const torch::Tensor& got, const torch::Tensor& wanted) {
  EXPECT_THAT(got, IsNear(wanted, 1e-6));
}

// ---- golden

Classifier golden_classifier(Modalities mode) {
  Classifier classifier(golden_config(), HeadOptions{.num_classes = 7, .mode = mode});
  const torch::NoGradGuard no_grad;
  auto parameters = classifier->named_parameters();
  const auto stored = strip_prefix(read_pth(golden_path("authors_finetune_legacy.pth")), "module.");
  EXPECT_EQ(stored.size(), parameters.size());
  for (const auto& [name, value] : stored) parameters[name].copy_(value);
  classifier->to(testing_support::test_device());
  return classifier;
}

Inputs classifier_inputs(const TensorFile& file) {
  const auto [audio, video] = testing_support::seeded_inputs(file);
  return inputs_on({.audio = audio, .video = video}, testing_support::test_device());
}

TEST(GoldenClassifier, ParameterNamesAndOrderAreTheAuthors) {
  std::vector<std::string> theirs;
  for (const auto& [name, tensor] : read_pth(golden_path("authors_finetune_legacy.pth")))
    theirs.push_back(name.substr(7));  // "module."
  EXPECT_EQ(Classifier(golden_config(), HeadOptions{.num_classes = 7})->named_parameters().keys(), theirs);
}

struct GoldenMode {
  const char* name;
  Modalities mode;
  bool hears, sees;
};

class GoldenClassifierMode : public ::testing::TestWithParam<GoldenMode> {};

TEST_P(GoldenClassifierMode, LogitsLossesAndGradientsAreTheAuthors) {
  const auto [name, mode, hears, sees] = GetParam();
  const TensorFile file = golden("classifier");
  Classifier classifier = golden_classifier(mode);
  Inputs inputs = classifier_inputs(file);
  if (!hears) inputs.audio = torch::Tensor();
  if (!sees) inputs.video = torch::Tensor();
  const std::string prefix = std::string(name) + ".";
  const torch::Tensor logits = classifier(inputs).cpu();
  EXPECT_THAT(logits, IsNear(file.at(prefix + "logits"), kClassifierTolerance));
  const torch::Tensor bce = at::binary_cross_entropy_with_logits(logits, file.at("target.multilabel"));
  EXPECT_THAT(bce, IsNear(file.at(prefix + "bce"), kClassifierTolerance));
  const torch::Tensor ce = -(file.at("target.singlelabel") * logits.log_softmax(1)).sum(1).mean();
  EXPECT_THAT(ce, IsNear(file.at(prefix + "ce"), kClassifierTolerance));
  bce.backward();
  const bool has_gradients = file.find(prefix + "grad.mlp_head.1.bias") != nullptr;
  int compared = 0;
  for (const auto& item : classifier->named_parameters()) {
    if (!has_gradients || !item.value().grad().defined()) continue;
    testing_support::expect_gradient(item.value().grad(), file, prefix + "grad." + item.key(),
                                     kClassifierTolerance);
    ++compared;
  }
  EXPECT_GT(compared, !has_gradients ? -1 : sees ? 280 : 140);
}

INSTANTIATE_TEST_SUITE_P(Modes, GoldenClassifierMode,
                         ::testing::Values(GoldenMode{"multimodal", Modalities::both, true, true},
                                           GoldenMode{"audioonly", Modalities::audio, true, false},
                                           GoldenMode{"videoonly", Modalities::video, false, true},
                                           GoldenMode{"missingaudioonly", Modalities::both, true, false},
                                           GoldenMode{"missingvideoonly", Modalities::both, false, true}),
                         [](const auto& mode) { return std::string(mode.param.name); });

TEST(GoldenClassifier, RetrievalFeaturesAreTheAuthors) {
  const TensorFile file = golden("classifier");
  const Latents latents = golden_classifier(Modalities::both)->encode(classifier_inputs(file));
  EXPECT_THAT(latents.audio.narrow(0, 0, 2), IsNear(file.at("feat.audio"), kClassifierTolerance));
  EXPECT_THAT(latents.video.narrow(0, 0, 2), IsNear(file.at("feat.video"), kClassifierTolerance));
}

// ---- every network

CavMaeConfig config_with(JointStreams streams) {
  CavMaeConfig config = small_config();
  config.joint_streams = streams;
  if (streams == JointStreams::separate) config.decoder_depth = 0;
  return config;
}

TEST(Classifier, TheSumAddsTheUniModalStreams) {
  Classifier joint = random_classifier(small_config(), {.num_classes = 3});
  Classifier sum =
      random_classifier(small_config(), {.num_classes = 3, .representation = Representation::sum});
  const Inputs inputs = random_inputs(small_config(), 2, 5);
  const Latents latents = joint->encode(inputs);
  const auto j = latents.joint.mean(1), a = latents.audio.mean(1), v = latents.video.mean(1);
  expect_equal(joint->pooled(inputs), j);
  expect_equal(sum->pooled(inputs), j + a + v);
  const Inputs sound{.audio = inputs.audio, .video = {}};
  const Streams joint_alone{.joint = true, .single = false};
  expect_equal(sum->pooled(sound), sum->encode(sound, joint_alone).joint.mean(1) + a);
}

TEST(Classifier, NetworksWithoutTheStreamUseWhatTheyHave) {
  const HeadOptions both{.num_classes = 3}, audio{.num_classes = 3, .mode = Modalities::audio};
  const Inputs inputs = random_inputs(small_config(), 2, 5);
  const Inputs sound{.audio = inputs.audio, .video = {}}, picture{.audio = {}, .video = inputs.video};

  Classifier cav = random_classifier(config_with(JointStreams::separate), both);
  const Latents apart = cav->encode(inputs);
  expect_equal(cav->pooled(inputs), (apart.audio.mean(1) + apart.video.mean(1)) / 2);
  expect_equal(cav->pooled(picture), apart.video.mean(1));

  // Its joint layers take one modality as they take both.
  Classifier av_mae = random_classifier(config_with(JointStreams::concat), both);
  Classifier hearing = random_classifier(config_with(JointStreams::concat), audio);
  expect_equal(av_mae->pooled(inputs), av_mae->encode(inputs).joint.mean(1));
  expect_equal(av_mae->pooled(sound), hearing->pooled(inputs));
  EXPECT_EQ(hearing->encode(sound, Streams{}).joint.size(1), small_config().num_audio_patches());

  CavMaeConfig audio_mae = config_with(JointStreams::none);
  audio_mae.modalities = Modalities::audio;
  audio_mae.joint_depth = 0;
  Classifier single = random_classifier(audio_mae, audio);
  expect_equal(single->pooled(sound), single->encode(sound).joint.mean(1));
}

TEST(Classifier, AModeIgnoresTheOtherModality) {
  Classifier hearing = random_classifier(small_config(), {.num_classes = 3, .mode = Modalities::audio});
  const Inputs inputs = random_inputs(small_config(), 2, 5);
  expect_equal(hearing(inputs), hearing->forward({.audio = inputs.audio, .video = {}}));
  expect_equal(hearing->pooled(inputs), hearing->encode(inputs).audio.mean(1));
}

TEST(Classifier, SeveralPicturesEqualOneAfterAnother) {
  const int64_t clips = 3, pictures = 2;
  Inputs inputs = random_inputs(small_config(), clips * pictures, 5);
  inputs.audio = inputs.audio.narrow(0, 0, clips);
  const Inputs frames{.audio = inputs.audio, .video = inputs.video.unflatten(0, {clips, pictures})};
  for (const auto streams : {JointStreams::separate_and_concat, JointStreams::concat, JointStreams::separate})
    for (const auto representation : {Representation::joint, Representation::sum}) {
      Classifier classifier =
          random_classifier(config_with(streams), {.num_classes = 4, .representation = representation});
      const torch::Tensor all = classifier->classify_frames(frames);  // [B, K, C]
      for (int64_t k = 0; k < pictures; ++k)
        expect_equal(all.select(1, k),
                     classifier->forward({.audio = frames.audio, .video = frames.video.select(1, k)}));
    }
  Classifier hearing = random_classifier(small_config(), {.num_classes = 4, .mode = Modalities::audio});
  expect_equal(hearing->classify_frames(frames), hearing(frames).unsqueeze(1));
}

TEST(Classifier, HasNoDecoderAndTheHeadStartsAsTheAuthors) {
  Classifier classifier(small_config(), HeadOptions{.num_classes = 50});
  CavMae network = as_network(classifier);
  initialize(network, 3);
  const auto parameters = classifier->named_parameters();
  EXPECT_EQ(parameters.find("mask_token"), nullptr);
  EXPECT_TRUE(parameters["mlp_head.0.weight"].equal(torch::ones({24})));
  EXPECT_TRUE(parameters["mlp_head.1.bias"].equal(torch::zeros({50})));
  const double bound = std::sqrt(6.0 / (24 + 50)),
               largest = parameters["mlp_head.1.weight"].abs().max().item<double>();
  EXPECT_LE(largest, bound);
  EXPECT_GT(largest, 0.9 * bound);
  for (const std::string& name : classifier->head_parameter_names())
    EXPECT_NE(parameters.find(name), nullptr);
}

std::string config_error(const std::function<void()>& action) {
  try {
    action();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Classifier, WhatDoesNotFitIsTold) {
  CavMaeConfig audio_mae = config_with(JointStreams::none);
  audio_mae.modalities = Modalities::audio;
  audio_mae.joint_depth = 0;
  EXPECT_THAT(config_error([&] { Classifier(audio_mae, HeadOptions{.num_classes = 2}); }),
              AllOf(HasSubstr("--mode both"), HasSubstr("audio")));
  EXPECT_THAT(config_error([&] { Classifier(small_config(), HeadOptions{.num_classes = 0}); }),
              HasSubstr("num_classes is 0"));
  Classifier seeing(small_config(), HeadOptions{.num_classes = 2, .mode = Modalities::video});
  const Inputs inputs = random_inputs(small_config(), 2, 5);
  EXPECT_THAT(config_error([&] { seeing->forward({.audio = inputs.audio, .video = {}}); }),
              HasSubstr("takes pictures"));
}

}  // namespace
}  // namespace cavmae
