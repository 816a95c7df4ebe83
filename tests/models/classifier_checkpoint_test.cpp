#include "cavmae/models/classifier_checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/core/options.h"

#include "tests/models/toy_model.h"
#include "tests/support/program.h"

namespace cavmae {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing_support::golden;
using testing_support::golden_path;
using testing_support::IsNear;
using testing_support::small_config;

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

TEST(ClassifierCheckpoint, ComesBackWithHeadFeaturesAndLabels) {
  TemporaryFolder folder;
  Classifier saved = audio_classifier();
  const Json labels = {{{"mid", "/m/1"}, {"display_name", "One"}}};
  save_classifier(folder / "model.safetensors", saved,
                  {.spec = InputSpec{.num_mel_bins = 32}, .labels = labels});
  EXPECT_TRUE(holds_classifier(folder.path()));
  LoadedClassifier loaded = load_classifier(folder.path());
  EXPECT_EQ(option_to_json(loaded.classifier->head_options()), option_to_json(saved->head_options()));
  EXPECT_EQ(loaded.classifier->head_options().scores, ScoreKind::softmax);
  EXPECT_EQ(option_to_json(loaded.classifier->config()), option_to_json(saved->config()));
  EXPECT_EQ(loaded.metadata.labels, labels);
  EXPECT_EQ(loaded.metadata.spec.value().num_mel_bins, 32);
  EXPECT_THAT(loaded.unexpected, IsEmpty());
  const auto wanted = saved->named_parameters();
  for (const auto& item : loaded.classifier->named_parameters())
    EXPECT_TRUE(item.value().equal(wanted[item.key()])) << item.key();
}

TEST(ClassifierCheckpoint, TheAuthorsFilesGiveTheirLogits) {
  ClassifierHints hints;
  hints.network.num_heads = 4;
  const TensorFile file = golden("classifier");
  const Inputs inputs{.audio = file.at("input.audio"), .video = file.at("input.video")};
  LoadedClassifier both = load_classifier(golden_path("authors_finetune_legacy.pth"), hints);
  EXPECT_EQ(both.classifier->head_options().num_classes, 7);
  EXPECT_TRUE(both.metadata.labels.is_null());
  EXPECT_THAT(both.classifier(inputs), IsNear(file.at("multimodal.logits"), 1e-5));
  hints.mode = Modalities::video;
  LoadedClassifier seeing = load_classifier(golden_path("authors_finetune_legacy.pth"), hints);
  EXPECT_THAT(seeing.classifier(inputs), IsNear(file.at("videoonly.logits"), 1e-5));
}

TEST(ClassifierCheckpoint, ToBeKnownAsOneItIsNotReadWhole) {
  // 20 GB of numbers of which none is on the disk.
  TemporaryFolder folder;
  for (const bool has_head : {true, false}) {
    const std::string header = std::string(R"({")") + (has_head ? "mlp_head.1.weight" : "norm.weight") +
                               R"(":{"dtype":"F32","shape":[5000000000],"data_offsets":[0,20000000000]}})";
    const uint64_t size = header.size();
    const std::string bytes = std::string(reinterpret_cast<const char*>(&size), sizeof size) + header;
    write_file(folder / "model.safetensors", bytes);
    std::filesystem::resize_file(folder / "model.safetensors", bytes.size() + 20'000'000'000);
    EXPECT_EQ(holds_classifier(folder.path()), has_head);
  }
}

TEST(ClassifierCheckpoint, WhatIsNoClassifierIsTold) {
  EXPECT_FALSE(holds_classifier(golden_path("authors_pretrain.pth")));
  EXPECT_THAT(refusal([] { load_classifier(golden_path("authors_pretrain.pth")); }),
              AllOf(HasSubstr("holds no classifier"), HasSubstr("cavmae finetune")));
  TemporaryFolder folder;
  Classifier saved = audio_classifier();
  save_classifier(folder / "model.safetensors", saved, {});
  TensorFile file = read_safetensors(folder / "model.safetensors");
  std::erase_if(file.tensors, [](const auto& item) { return item.first == "norm_a.weight"; });
  write_safetensors(folder / "model.safetensors", file.tensors, file.metadata);
  EXPECT_THAT(refusal([&] { load_classifier(folder.path()); }), HasSubstr("norm_a.weight"));
}

}  // namespace
}  // namespace cavmae
