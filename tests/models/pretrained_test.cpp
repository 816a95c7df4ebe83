#include "cavmae/models/pretrained.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/core/options.h"
#include "cavmae/core/text.h"
#include "cavmae/models/checkpoint.h"
#include "cavmae/models/convert_model.h"
#include "cavmae/tensorfile/mapped_tensor.h"

#include "tests/models/toy_model.h"
#include "tests/support/program.h"

namespace cavmae {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing_support::golden;
using testing_support::golden_path;
using testing_support::IsNear;
using testing_support::small_config;
using testing_support::stated;

Classifier audio_classifier() {
  Classifier classifier(small_config(), HeadOptions{.num_classes = 3,
                                                    .mode = Modalities::audio,
                                                    .representation = Representation::sum,
                                                    .scores = ScoreKind::softmax});
  CavMae network = as_network(classifier);
  initialize(network, 5);
  return classifier;
}

std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const CheckpointError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Pretrained, AClassifierComesBackWithHeadFeaturesAndLabels) {
  TemporaryFolder folder;
  Classifier saved = audio_classifier();
  const std::vector<ClassLabel> labels = {{.mid = "/m/1", .display_name = "One"}};
  save_classifier(folder / "model.safetensors", saved, InputSpec{.fbank_mean = -3.5}, labels);
  const Pretrained loaded = load_pretrained(folder.path());
  ASSERT_TRUE(loaded.is_classifier());
  Classifier classifier = loaded.classifier();
  EXPECT_EQ(option_to_json(classifier->head_options()), option_to_json(saved->head_options()));
  EXPECT_EQ(classifier->head_options().scores, ScoreKind::softmax);
  EXPECT_EQ(option_to_json(classifier->config()), option_to_json(saved->config()));
  EXPECT_EQ(loaded.labels, labels);
  EXPECT_EQ(loaded.spec.fbank_mean, -3.5);
  EXPECT_THAT(loaded.report.unexpected, IsEmpty());
  const auto wanted = saved->named_parameters();
  for (const auto& item : classifier->named_parameters())
    EXPECT_TRUE(item.value().equal(wanted[item.key()])) << item.key();
  EXPECT_EQ(loaded.network().ptr().get(), classifier.ptr().get()) << "the same parameters";
}

TEST(Pretrained, ADecoderThatWillNotComputeIsNotThere) {
  TemporaryFolder folder;
  CavMae saved(small_config());
  initialize(saved, 3);
  save_model(folder / "model.safetensors", saved, InputSpec());
  LoadOptions options;
  options.decoder = DecoderUse::none;
  const Pretrained loaded = load_pretrained(folder / "model.safetensors", options);
  EXPECT_EQ(loaded.network()->config().decoder_depth, 0);
  EXPECT_THAT(loaded.report.missing, IsEmpty());
  EXPECT_THAT(loaded.report.unexpected, IsEmpty()) << "it is known what the decoder's tensors are";
  const auto wanted = saved->named_parameters();
  for (const auto& item : loaded.network()->named_parameters()) {
    EXPECT_FALSE(item.key().starts_with("decoder_") || item.key() == "mask_token") << item.key();
    EXPECT_TRUE(item.value().equal(wanted[item.key()])) << item.key();
  }
  // A file that lacks a part of its decoder is no whole one all the same.
  TensorFile file = read_safetensors(folder / "model.safetensors");
  std::erase_if(file.tensors, [](const auto& tensor) { return tensor.first == "decoder_pred_a.weight"; });
  write_safetensors(folder / "partial.safetensors", file.tensors, file.metadata);
  EXPECT_THAT(refusal([&] { load_pretrained(folder / "partial.safetensors", options); }),
              HasSubstr("decoder_pred_a.weight"));
}

// Whether an address lies where this process has mapped the file.
bool is_mapped_from(const void* address, const std::filesystem::path& file) {
  for (const std::string& line : split(read_text("/proc/self/maps"), '\n')) {
    if (!line.ends_with(std::filesystem::canonical(file).string())) continue;
    const size_t dash = line.find('-');
    const auto number = [](const std::string& hex) { return std::stoull(hex, nullptr, 16); };
    const auto at = reinterpret_cast<uintptr_t>(address);
    if (at >= number(line.substr(0, dash)) && at < number(line.substr(dash + 1))) return true;
  }
  return false;
}

TEST(Pretrained, AShortJobsParametersLieInTheMappedFile) {
  TemporaryFolder folder;
  CavMae saved(small_config());
  initialize(saved, 3);
  const std::filesystem::path file = folder / "model.safetensors";
  save_model(file, saved, InputSpec());
  const Pretrained copied = load_pretrained(file, {});
  LoadOptions options;
  options.shares_memory_of_file = true;
  const Pretrained shared = load_pretrained(file, options);
  const auto wanted = saved->named_parameters();
  const auto own = copied.network()->named_parameters();
  for (const auto& item : shared.network()->named_parameters()) {
    EXPECT_TRUE(item.value().equal(wanted[item.key()])) << item.key();
    EXPECT_TRUE(is_mapped_from(item.value().data_ptr(), file)) << item.key();
    EXPECT_TRUE(place_in_file(item.value())) << item.key();  // packed from there
    EXPECT_FALSE(is_mapped_from(own[item.key()].data_ptr(), file)) << item.key();
  }
}

TEST(Pretrained, WhatAPartialFileHasIsTakenWhereverParametersLie) {
  TemporaryFolder folder;
  CavMae saved(small_config());
  initialize(saved, 3);
  save_model(folder / "model.safetensors", saved, InputSpec());
  TensorFile file = read_safetensors(folder / "model.safetensors");
  const std::string lacking = "blocks_a.0.attn.qkv.weight";
  std::erase_if(file.tensors, [&](const auto& tensor) { return tensor.first == lacking; });
  write_safetensors(folder / "partial.safetensors", file.tensors, file.metadata);
  LoadOptions options;
  options.partial = PartialFile::allow;
  const Pretrained copied = load_pretrained(folder / "partial.safetensors", options);
  options.shares_memory_of_file = true;
  const Pretrained shared = load_pretrained(folder / "partial.safetensors", options);
  EXPECT_THAT(shared.report.missing, ElementsAre(lacking));
  const auto wanted = saved->named_parameters();
  const auto own = copied.network()->named_parameters();
  for (const auto& item : shared.network()->named_parameters()) {
    EXPECT_TRUE(item.value().equal(own[item.key()])) << item.key();
    if (item.key() != lacking) {
      EXPECT_TRUE(item.value().equal(wanted[item.key()])) << item.key();
    }
  }
}

TEST(Pretrained, TheAuthorsClassifiersGiveTheirLogits) {
  LoadOptions options = stated();
  const TensorFile file = golden("classifier");
  const auto [audio, video] = testing_support::seeded_inputs(file);
  const Inputs inputs{.audio = audio, .video = video};
  const Pretrained both = load_pretrained(golden_path("authors_finetune_legacy.pth"), options);
  EXPECT_EQ(both.classifier()->head_options().num_classes, 7);
  EXPECT_THAT(both.labels, IsEmpty());
  EXPECT_THAT(both.classifier()(inputs), IsNear(file.at("multimodal.logits"), 1e-5));
  options.head_hints.mode = Modalities::video;
  const Pretrained seeing = load_pretrained(golden_path("authors_finetune_legacy.pth"), options);
  EXPECT_THAT(seeing.classifier()(inputs), IsNear(file.at("videoonly.logits"), 1e-5));
}

TEST(Pretrained, HintsShapesAndPrecisionGoTogether) {
  LoadOptions options = stated();
  options.shape.image_size = 96;
  options.shape.window_seconds = 2.0;
  options.positions = PositionFit::trim;
  options.precision = PrecisionChoice::bf16;
  const Pretrained loaded = load_pretrained(golden_path("authors_pretrain.pth"), options);
  EXPECT_EQ(loaded.network()->config().num_heads, 4);
  EXPECT_EQ(loaded.network()->config().image_size, 96);
  EXPECT_EQ(loaded.network()->precision(), Precision::bf16);
  EXPECT_EQ(loaded.spec.image_size, 96);
  EXPECT_EQ(loaded.spec.window_seconds, 2.0);
}

TEST(Pretrained, WhatIsNoClassifierIsTold) {
  const Pretrained network = load_pretrained(golden_path("authors_pretrain.pth"), stated());
  EXPECT_FALSE(network.is_classifier());
  EXPECT_THAT(refusal([&] { network.classifier(); }),
              AllOf(HasSubstr("authors_pretrain.pth"), HasSubstr("holds no classifier"),
                    HasSubstr("cavmae finetune")));
}

TEST(Pretrained, AClassifierThatLacksAParameterIsRefusedUnlessThatIsAllowed) {
  TemporaryFolder folder;
  Classifier saved = audio_classifier();
  save_classifier(folder / "model.safetensors", saved, InputSpec{}, {});
  TensorFile file = read_safetensors(folder / "model.safetensors");
  std::erase_if(file.tensors, [](const auto& item) { return item.first == "norm_a.weight"; });
  write_safetensors(folder / "model.safetensors", file.tensors, file.metadata);
  EXPECT_THAT(
      refusal([&] { load_pretrained(folder.path()); }),
      AllOf(HasSubstr("lacks 1 parameter of"), HasSubstr("norm_a.weight"), HasSubstr("--allow-partial")));
  const Pretrained loaded = load_pretrained(folder.path(), {.partial = PartialFile::allow});
  EXPECT_THAT(loaded.report.missing, ::testing::ElementsAre("norm_a.weight"));
  EXPECT_TRUE(loaded.classifier()->named_parameters()["norm_a.weight"].eq(1).all().item<bool>());
}

// Of a .pth alone nothing says what the scores mean; who leaves the head out need not know.
TEST(Pretrained, WhatAHeadMeansHasToBeSaidWhereItIsUsed) {
  TemporaryFolder folder;
  CavMaeConfig config = small_config();
  config.modalities = Modalities::audio;
  config.joint_streams = JointStreams::none;
  config.joint_depth = 0;
  Classifier saved(config, HeadOptions{.num_classes = 3, .mode = Modalities::audio});
  save_classifier(folder / "model.safetensors", saved, InputSpec{}, {});
  convert_model(folder / "model.safetensors", folder / "model.pth");
  EXPECT_EQ(load_pretrained(folder / "model.pth").classifier()->head_options().mode, Modalities::audio);
  std::filesystem::remove(folder / "model.pth.json");
  LoadOptions options = stated({.num_heads = 2, .decoder_num_heads = {}});
  options.head_hints = {};
  EXPECT_THAT(message_from<ConfigError>([&] { load_pretrained(folder / "model.pth", options); }),
              AllOf(HasSubstr("--scores sigmoid|softmax"), ::testing::Not(HasSubstr("--mode"))));
  options.head = HeadUse::leave_out;
  EXPECT_FALSE(load_pretrained(folder / "model.pth", options).is_classifier());
  options.head = HeadUse::if_any;
  options.head_hints.scores = ScoreKind::softmax;
  EXPECT_EQ(load_pretrained(folder / "model.pth", options).classifier()->head_options().mode,
            Modalities::audio);
}

}  // namespace
}  // namespace cavmae
