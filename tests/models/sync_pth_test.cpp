// The .pth of CAV-MAE Sync: read, written, of full size from a GPU, and what it does not state.
#include <fstream>
#include <map>

#include "cavmae/core/options.h"
#include "cavmae/models/convert_model.h"
#include "cavmae/models/infer_config.h"

#include "tests/models/toy_model.h"
#include "tests/support/program.h"
#include "tests/support/sync_golden.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tools.h"

namespace cavmae::sync_pth_test {
namespace {

using testing_support::sync_config;
using testing_support::sync_golden_path;
using testing_support::SyncGolden;

class SyncPth : public ::testing::Test {
 protected:
  static LoadOptions options() {
    return testing_support::stated(
        {.num_heads = 3, .decoder_num_heads = 2, .num_mel_bins = {}, .audio_window_frames = 0});
  }
};

TEST_F(SyncPth, OfTheAuthorsIsReadAndWrittenAgain) {
  const Pretrained model = load_pretrained(sync_golden_path("sync_pretrain.pth"), options());
  const CavMaeConfig config = model.network()->config();
  EXPECT_TRUE(config.global_tokens);
  EXPECT_EQ(config.registers, 3);
  EXPECT_EQ(config.num_fbank_frames, 64);
  SyncGolden golden(sync_golden_path("sync_pretrain.safetensors"));
  const NamedTensors values = golden.parameters();
  const auto parameters = model.network()->named_parameters();
  for (const auto& [name, value] : values) EXPECT_TRUE(parameters[name].equal(value)) << name;
  std::vector<std::string> names;
  for (const auto& [name, value] : read_pth(sync_golden_path("sync_pretrain.pth")))
    names.push_back(name.substr(std::string("module.").size()));
  EXPECT_EQ(parameters.keys(), names);
  for (const char* other : {"grad.", "plain.", "global_local.", "cls_only.", "registers_only.", "out.",
                            "stage.", "mask.", "input."})
    golden.pass_over(other);  // compared above
}

// The released model's.
CavMaeConfig full_config() {
  CavMaeConfig config;
  config.audio_window_frames = 416;
  config.global_tokens = true;
  config.registers = 8;
  return config;
}

// Names, shapes and the number of tensors of the released model, which nobody has to have.
TEST_F(SyncPth, OfFullSizeIsKnownByItsTensors) {
  const CavMaeConfig config = full_config();
  NamedTensors tensors;
  int64_t values = 0;
  const CavMae network(config);
  for (const auto& item : network->named_parameters()) {
    const bool is_table = item.key().find("pos_embed") != std::string::npos;
    tensors.emplace_back(item.key(),
                         is_table ? item.value().detach()
                                  : torch::empty(item.value().sizes(), torch::TensorOptions(torch::kMeta)));
    values += item.value().numel();
  }
  EXPECT_EQ(tensors.size(), 650U);
  EXPECT_EQ(values, 190'660'864);
  const InferredConfig inferred = infer_config(tensors, {}, "sync.pth");
  EXPECT_EQ(option_to_json(inferred.config), option_to_json(config));
  for (const UnstatedOption& option : inferred.unstated) EXPECT_TRUE(option.confirmed) << option.name;
}

// A file of the released model's names and shapes as it is saved on a GPU, with its contrastive heads. Its
// tensors share one storage of ascending numbers, in which each begins one later, but for the position
// tables.
TEST_F(SyncPth, OfFullSizeFromAGpuIsReadAndItsHeadsAreNamed) {
  CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_python_torch(), "python3-torch");
  const TemporaryFolder folder;
  std::vector<std::string> names, heads;
  {
    NamedTensors tables;
    std::ofstream shapes(folder / "shapes");
    const auto add = [&](const std::string& name, const torch::Tensor& tensor) {
      shapes << name;
      for (const int64_t size : tensor.sizes()) shapes << " " << size;
      shapes << "\n";
    };
    const CavMae network(full_config());
    for (const auto& item : network->named_parameters()) {
      names.push_back(item.key());
      add(item.key(), item.value());
      if (item.key().find("pos_embed") != std::string::npos)
        tables.emplace_back(item.key(), item.value().detach());
    }
    const std::string block = "blocks_a.0.";
    for (const std::string head : {"constrative_head_audio.", "constrative_head_visual."})
      for (const std::string layer : {"0.", "1."})
        for (const auto& item : network->named_parameters())
          if (item.key().starts_with(block)) {
            heads.push_back(head + layer + item.key().substr(block.size()));
            add(heads.back(), item.value());
          }
    write_pth(folder / "tables.pth", tables);
  }
  ASSERT_EQ(names.size(), 650U);
  ASSERT_EQ(heads.size(), 80U);
  std::ofstream(folder / "save.py") << R"(
import collections, sys, torch
torch.serialization.location_tag = lambda storage: 'cuda:0'
folder = sys.argv[1]
tables = torch.load(f'{folder}/tables.pth', map_location='cpu')
values = collections.OrderedDict()
storage = torch.arange(3072. * 768 + 730)
for line in open(f'{folder}/shapes'):
    name, *shape = line.split()
    shape = torch.Size([int(size) for size in shape])
    begin = len(values)
    values['module.' + name] = tables.get(name, storage[begin:begin + shape.numel()].view(shape))
torch.save(values, f'{folder}/sync.pth')
)";
  const auto saved = testing_support::run_shell("/usr/bin/python3 '" + (folder / "save.py").string() + "' '" +
                                                folder.path().string() + "'");
  ASSERT_EQ(saved.exit_code, 0) << saved.err;
  EXPECT_NE(testing_support::read_whole(folder / "sync.pth").find("cuda:0"), std::string::npos);

  const Pretrained read = load_pretrained(folder / "sync.pth");
  EXPECT_EQ(option_to_json(read.network()->config()), option_to_json(full_config()));
  EXPECT_EQ(read.spec.num_frames, 16);
  EXPECT_TRUE(read.report.missing.empty());
  EXPECT_THAT(read.report.unexpected, ::testing::UnorderedElementsAreArray(heads));
  const auto parameters = read.network()->named_parameters();
  ASSERT_EQ(parameters.keys(), names);
  const torch::Tensor storage = torch::arange(3072 * 768 + 730, torch::kFloat32);
  for (size_t i = 0; i < names.size(); ++i) {
    const torch::Tensor& value = parameters[names[i]];
    EXPECT_EQ(value.device(), torch::Device(torch::kCPU));
    if (names[i].find("pos_embed") != std::string::npos) continue;
    EXPECT_TRUE(value.flatten().equal(storage.narrow(0, static_cast<int64_t>(i), value.numel()))) << names[i];
  }
}

// Sync's scripts take segments of 96 frames where nothing is said: their length alone is seen.
TEST_F(SyncPth, OtherSegmentsAreAskedFor) {
  CavMaeConfig config;
  config.modality_depth = config.decoder_depth = 1;
  config.num_fbank_frames = 96;
  config.global_tokens = true;
  NamedTensors tensors;
  const CavMae network(config);
  for (const auto& item : network->named_parameters())
    tensors.emplace_back(item.key(), item.value().detach());
  const auto infer = [&](std::optional<int64_t> frames) {
    return infer_config(tensors, {.audio_window_frames = frames}, "sync.pth");
  };
  const InferredConfig guessed = infer({});
  std::map<std::string, bool> unstated;
  for (const UnstatedOption& option : guessed.unstated) unstated[option.name] = option.confirmed;
  EXPECT_THAT(unstated, ::testing::Contains(std::pair("audio_window_frames", false)));
  for (const InferredConfig& segments : {guessed, infer(96)}) {
    EXPECT_EQ(segments.config.audio_window_frames, 96);
    EXPECT_EQ(segments.config.num_fbank_frames, 1024);
  }
  const InferredConfig whole = infer(0);
  EXPECT_EQ(option_to_json(whole.config), option_to_json(config));
  for (const InferredConfig& known : {infer(96), whole})
    for (const UnstatedOption& option : known.unstated) EXPECT_TRUE(option.confirmed) << option.name;
  EXPECT_THAT([&] { infer(416); }, ::testing::ThrowsMessage<ConfigError>(
                                       ::testing::HasSubstr("--audio-window-frames is 416, but the sound")));
}

TEST_F(SyncPth, WhatIsSaidOfSegmentsIsKeptBesideIt) {
  const TemporaryFolder folder;
  CavMae model = testing_support::random_model(sync_config(), 3);
  NamedTensors tensors;
  for (const auto& item : model->named_parameters()) tensors.emplace_back(item.key(), item.value().detach());
  const auto file = folder / "sync.pth";
  write_pth(file, tensors);
  LoadOptions said = options();
  said.hints.audio_window_frames = std::nullopt;
  EXPECT_THAT([&] { load_pretrained(file, said); },
              ::testing::ThrowsMessage<ConfigError>(::testing::HasSubstr("give --audio-window-frames N;")));
  for (const int64_t frames : {64, 0}) {
    said.hints.audio_window_frames = frames;
    const auto converted = folder / ("converted" + std::to_string(frames) + ".pth");
    convert_model(file, converted, said);
    for (const Pretrained& loaded : {load_pretrained(file, said), load_pretrained(converted)}) {
      EXPECT_EQ(loaded.spec.audio_window_frames, frames);
      EXPECT_EQ(loaded.spec.num_fbank_frames, frames == 0 ? 64 : 1024);
      EXPECT_EQ(loaded.spec.alignment, frames == 0 ? Alignment::clip : Alignment::picture);
      EXPECT_EQ(loaded.spec.num_frames, frames == 0 ? 10 : 16);
      EXPECT_TRUE(loaded.network()->named_parameters()["cls_token_a"].equal(
          model->named_parameters()["cls_token_a"]));
    }
  }
  said.hints.audio_window_frames = 64;
  EXPECT_THAT([&] { load_pretrained(folder / "converted0.pth", said); },
              ::testing::ThrowsMessage<ConfigError>(
                  ::testing::HasSubstr("states audio_window_frames 0; 64 was given")));
}

TEST_F(SyncPth, ContrastiveHeadsAreNamedAndLeftOut) {
  const TemporaryFolder folder;
  CavMaeConfig config = sync_config();
  CavMae model = testing_support::random_model(config, 3);
  NamedTensors tensors;
  for (const auto& item : model->named_parameters())
    tensors.emplace_back("module." + item.key(), item.value().detach());
  tensors.emplace_back("module.constrative_head_audio.0.attn.qkv.weight", torch::zeros({72, 24}));
  tensors.emplace_back("module.constrative_head_visual.1.norm1.bias", torch::zeros({24}));
  const auto file = folder / "sync.pth";
  write_pth(file, tensors);
  const Pretrained read = load_pretrained(file, options());
  EXPECT_THAT(read.report.unexpected, ::testing::ElementsAre("constrative_head_audio.0.attn.qkv.weight",
                                                             "constrative_head_visual.1.norm1.bias"));
  EXPECT_TRUE(read.report.missing.empty());
  const Conversion conversion = convert_model(file, folder / "sync.safetensors", options());
  EXPECT_EQ(conversion.left_out.size(), 2U);
  const Pretrained again = load_pretrained(folder / "sync.safetensors");
  const auto parameters = model->named_parameters();
  for (const auto& item : again.network()->named_parameters())
    EXPECT_TRUE(item.value().equal(parameters[item.key()])) << item.key();
}

}  // namespace
}  // namespace cavmae::sync_pth_test
