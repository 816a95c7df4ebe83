#include "cavmae/models/checkpoint.h"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/core/options.h"
#include "cavmae/models/convert_model.h"
#include "cavmae/models/model_file.h"
#include "cavmae/models/model_input.h"
#include "cavmae/models/pretrained.h"

#include "tests/models/toy_model.h"
#include "tests/support/program.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing_support::golden_config;
using testing_support::golden_path;
using testing_support::random_model;
using testing_support::small_config;
using testing_support::stated;

std::string checkpoint_error(const std::function<void()>& action) {
  try {
    action();
  } catch (const CheckpointError& error) {
    return error.what();
  }
  return "no error";
}

void expect_same_parameters(CavMae& a, CavMae& b) {
  const auto expected = b->named_parameters();
  ASSERT_EQ(a->named_parameters().keys(), expected.keys());
  for (const auto& item : a->named_parameters())
    EXPECT_TRUE(item.value().equal(expected[item.key()])) << item.key();
}

TEST(Checkpoint, IsInspectedWithoutItsNumbers) {
  // 20 GB of numbers of which none is on the disk.
  TemporaryFolder folder;
  const std::string header =
      R"({"module.norm.weight":{"dtype":"F32","shape":[5000000000],"data_offsets":[0,20000000000]}})";
  const uint64_t size = header.size();
  const std::string bytes = std::string(reinterpret_cast<const char*>(&size), sizeof size) + header;
  write_file(folder / "model.safetensors", bytes);
  std::filesystem::resize_file(folder / "model.safetensors", bytes.size() + 20'000'000'000);
  const TensorFile outline = inspect_model_file(folder / "model.safetensors");
  EXPECT_EQ(outline.at("norm.weight").size(0), 5'000'000'000);
  EXPECT_TRUE(outline.at("norm.weight").is_meta());
}

TEST(Checkpoint, StatesTheSampleRateOnlyWhereItIsNotTheUsualOne) {
  TemporaryFolder folder;
  auto model = random_model(small_config(), 1);
  const auto stated = [&](int64_t rate) {
    save_model(folder / "model.safetensors", model, InputSpec{.sample_rate_hz = rate});
    return read_safetensors_metadata(folder / "model.safetensors").at("features");
  };
  EXPECT_EQ(
      stated(16000),
      R"({"num_fbank_frames":1024,"num_mel_bins":128,"image_size":224,"num_frames":10,"window_seconds":10.0,)"
      R"("fbank_mean":-5.081,"fbank_std":4.4849,"audio_channels":"first","audio_track":null,"exif":false})");
  EXPECT_THAT(stated(32000), HasSubstr("\"sample_rate_hz\":32000"));
  EXPECT_EQ(load_pretrained(folder / "model.safetensors").spec.sample_rate_hz, 32000);
}

TEST(Checkpoint, SavedModelsComeBackWithConfigurationAndFeatures) {
  TemporaryFolder folder;
  CavMaeConfig config = small_config();
  config.train_positions = true;
  auto model = random_model(config, 1);
  const InputSpec spec{.num_mel_bins = 32, .fbank_mean = -3.5};
  save_model(folder / "model.safetensors", model, spec);
  const Pretrained loaded = load_pretrained(folder / "model.safetensors");
  CavMae network = loaded.network();
  EXPECT_EQ(option_to_json(network->config()), option_to_json(config));
  EXPECT_EQ(loaded.spec, input_spec(config, spec));
  EXPECT_TRUE(loaded.states_spec);
  EXPECT_FALSE(loaded.is_classifier());
  EXPECT_THAT(loaded.report.missing, IsEmpty());
  EXPECT_THAT(loaded.report.unexpected, IsEmpty());
  expect_same_parameters(network, model);
}

TEST(Checkpoint, SaysHowFilesAreRead) {
  TemporaryFolder folder;
  auto model = random_model(small_config(), 1);
  save_model(folder / "model.safetensors", model,
             InputSpec{.audio_channels = ChannelMix::mean, .audio_track = 2, .exif = true});
  const Pretrained loaded = load_pretrained(folder / "model.safetensors");
  EXPECT_TRUE(loaded.states_exif);
  EXPECT_TRUE(loaded.spec.exif);
  EXPECT_EQ(loaded.spec.audio_track, 2);
  EXPECT_EQ(loaded.spec.audio_channels, ChannelMix::mean);
  const std::optional<int64_t> default_track;
  const Pretrained otherwise = load_pretrained(
      folder / "model.safetensors",
      {.reading = {.exif = false, .audio_channels = ChannelMix::first, .audio_track = default_track}});
  EXPECT_FALSE(otherwise.spec.exif);
  EXPECT_EQ(otherwise.spec.audio_track, std::nullopt);
  EXPECT_EQ(otherwise.spec.audio_channels, ChannelMix::first);
}

// One from before there was a word for it.
TEST(Checkpoint, ThatSaysNothingOfExifWasTrainedWithout) {
  TemporaryFolder folder;
  auto model = random_model(small_config(), 1);
  save_model(folder / "model.safetensors", model, InputSpec{.exif = true});
  std::string bytes = read_text(folder / "model.safetensors");
  const std::string word = R"(,\"exif\":true)";
  ASSERT_NE(bytes.find(word), std::string::npos);
  bytes.replace(bytes.find(word), word.size(), std::string(word.size(), ' '));
  write_file(folder / "model.safetensors", bytes);
  const Pretrained loaded = load_pretrained(folder / "model.safetensors");
  EXPECT_FALSE(loaded.states_exif);
  EXPECT_FALSE(loaded.spec.exif);
  EXPECT_TRUE(load_pretrained(folder / "model.safetensors", {.reading = {.exif = true}}).spec.exif);
  EXPECT_TRUE(loaded.states_spec);
}

TEST(Checkpoint, PthComesBackWithItsConfigurationInferred) {
  TemporaryFolder folder;
  CavMaeConfig config = golden_config();
  auto model = random_model(config, 2);
  save_model(folder / "model.safetensors", model, InputSpec{});
  convert_model(folder / "model.safetensors", folder / "model.pth");
  fs::remove(folder / "model.pth.json");
  const Pretrained loaded = load_pretrained(folder / "model.pth", stated());
  CavMae network = loaded.network();
  EXPECT_EQ(option_to_json(network->config()), option_to_json(config));
  EXPECT_FALSE(loaded.states_spec);
  EXPECT_EQ(loaded.spec, input_spec(config)) << "the paper's, in the network's sizes";
  expect_same_parameters(network, model);
  EXPECT_EQ(read_pth(folder / "model.pth").front().first, "module.modality_a");
}

TEST(Checkpoint, ConfigurationsOfOtherSystemsAreInferred) {
  TemporaryFolder folder;
  std::vector<CavMaeConfig> configs(3, golden_config());
  configs[0].joint_streams = JointStreams::concat;
  configs[0].modality_depth = 0;
  configs[0].mlp_ratio = 2.0;
  configs[1].joint_streams = JointStreams::separate;
  configs[1].decoder_depth = 0;
  configs[2].joint_streams = JointStreams::none;
  configs[2].modalities = Modalities::audio;
  configs[2].joint_depth = 0;
  for (const auto& config : configs) {
    CavMae model(config);
    save_model(folder / "model.safetensors", model, InputSpec{});
    convert_model(folder / "model.safetensors", folder / "model.pth");
    fs::remove(folder / "model.pth.json");
    const auto inferred = load_pretrained(folder / "model.pth", stated()).network()->config();
    EXPECT_EQ(inferred.joint_streams, config.joint_streams);
    EXPECT_EQ(inferred.modalities, config.modalities);
    EXPECT_EQ(inferred.modality_depth, config.modality_depth);
    EXPECT_EQ(inferred.joint_depth, config.joint_depth);
    EXPECT_EQ(inferred.decoder_depth, config.decoder_depth);
    EXPECT_EQ(inferred.mlp_ratio, config.mlp_ratio);
    EXPECT_EQ(inferred.num_fbank_frames, config.num_fbank_frames);
  }
}

TEST(Checkpoint, TheAuthorsFilesLoad) {
  const Pretrained pretrained = load_pretrained(golden_path("authors_pretrain.pth"), stated());
  EXPECT_THAT(pretrained.report.missing, IsEmpty());
  EXPECT_THAT(pretrained.report.unexpected, IsEmpty());
  EXPECT_EQ(pretrained.network()->config().decoder_depth, 2);
  EXPECT_EQ(pretrained.network()->config().num_fbank_frames, 128);
  LoadOptions options = stated();
  options.head = HeadUse::leave_out;
  const Pretrained headless = load_pretrained(golden_path("authors_finetune_legacy.pth"), options);
  EXPECT_FALSE(headless.is_classifier());
  EXPECT_THAT(headless.report.missing, IsEmpty());
  EXPECT_THAT(headless.report.unexpected, IsEmpty()) << "a head has a use, if not here";
  EXPECT_EQ(headless.network()->config().decoder_depth, 0);
}

TEST(Checkpoint, MissingParametersAreRefusedOrNamedAndInitialised) {
  TemporaryFolder folder;
  auto model = random_model(small_config(), 3);
  save_model(folder / "model.safetensors", model, InputSpec{});
  TensorFile file = read_safetensors(folder / "model.safetensors");
  std::erase_if(file.tensors, [](const auto& item) { return item.first == "blocks_a.1.mlp.fc1.weight"; });
  file.tensors.emplace_back("extra", torch::zeros({1}));
  write_safetensors(folder / "model.safetensors", file.tensors, file.metadata);
  EXPECT_THAT(checkpoint_error([&] { load_pretrained(folder / "model.safetensors"); }),
              AllOf(HasSubstr("blocks_a.1.mlp.fc1.weight"), HasSubstr("no place for: extra"),
                    HasSubstr("--allow-partial")));
  const Pretrained loaded = load_pretrained(folder / "model.safetensors", {.partial = PartialFile::allow});
  EXPECT_THAT(loaded.report.missing, ElementsAre("blocks_a.1.mlp.fc1.weight"));
  EXPECT_THAT(loaded.report.unexpected, ElementsAre("extra"));
  const auto parameters = loaded.network()->named_parameters();
  EXPECT_GT(parameters["blocks_a.1.mlp.fc1.weight"].abs().max().item<float>(), 0.0F);
  EXPECT_TRUE(
      parameters["blocks_a.0.mlp.fc1.weight"].equal(model->named_parameters()["blocks_a.0.mlp.fc1.weight"]));
}

TEST(Checkpoint, TheFirstTensorOfAnotherSizeIsNamedAndNothingIsCopied) {
  TemporaryFolder folder;
  auto model = random_model(small_config(), 4);
  save_model(folder / "model.safetensors", model, InputSpec{});
  CavMaeConfig wider = small_config();
  wider.decoder_embed_dim = 32;
  auto other = random_model(wider, 5);
  const auto before = other->named_parameters()["modality_a"].detach().clone();
  EXPECT_THAT(checkpoint_error([&] { load_parameters(other, folder / "model.safetensors"); }),
              AllOf(HasSubstr("model.safetensors"), HasSubstr("'mask_token'"), HasSubstr("[1, 1, 16]"),
                    HasSubstr("[1, 1, 32]")));
  EXPECT_TRUE(other->named_parameters()["modality_a"].equal(before));
}

TEST(Checkpoint, FilesThatAreNoModelAreRefused) {
  TemporaryFolder folder;
  write_safetensors(folder / "x.safetensors", {{"weights", torch::zeros({2})}});
  EXPECT_THAT(checkpoint_error([&] { load_pretrained(folder / "x.safetensors"); }),
              AllOf(HasSubstr("x.safetensors"), HasSubstr("no CAV-MAE checkpoint")));
  auto model = random_model(small_config(), 6);
  EXPECT_THAT(checkpoint_error([&] { load_parameters(model, folder / "x.safetensors"); }),
              HasSubstr("none of its 1 tensors"));
  TensorFile broken;
  for (const auto& item : model->named_parameters()) broken.tensors.emplace_back(item.key(), item.value());
  broken.tensors.front().second = torch::zeros({1, 1, 24}, torch::kInt64);
  write_safetensors(folder / "x.safetensors", broken.tensors,
                    {{"model", option_to_json(small_config()).dump()}, {"features", "{}"}});
  EXPECT_THAT(checkpoint_error([&] { load_pretrained(folder / "x.safetensors"); }),
              HasSubstr("not floating-point"));
}

TEST(FindModelFile, PrefersTheBestThenTheLastThenTheHighestStep) {
  TemporaryFolder folder;
  const auto make = [&](const std::string& path) {
    fs::create_directories((folder / path).parent_path());
    std::ofstream(folder / path) << "x";
    return folder / path;
  };
  EXPECT_THAT(checkpoint_error([&] { find_model_file(folder.path()); }),
              AllOf(HasSubstr("holds no model"), HasSubstr("checkpoints/best")));
  EXPECT_THAT(checkpoint_error([&] { find_model_file(folder / "nothing"); }), HasSubstr("no such file"));
  make("checkpoints/step-00000900/model.safetensors");
  const auto step = make("checkpoints/step-00001000/model.safetensors");
  fs::create_directories(folder / "checkpoints/step-00002000");  // one that was never finished
  EXPECT_EQ(find_model_file(folder.path()), step);
  EXPECT_EQ(find_model_file(folder / "checkpoints"), step);
  const auto last = make("checkpoints/last/model.safetensors");
  EXPECT_EQ(find_model_file(folder.path()), last);
  const auto best = make("checkpoints/best/model.safetensors");
  EXPECT_EQ(find_model_file(folder.path()), best);
  EXPECT_EQ(find_model_file(folder / "checkpoints/last"), last);
  EXPECT_EQ(find_model_file(step), step);
}

}  // namespace
}  // namespace cavmae
