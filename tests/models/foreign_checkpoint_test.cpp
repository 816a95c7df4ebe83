// Checkpoints of the network as training programs write them: what is read, what is refused, what has to be
// said.
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/core/json.h"
#include "cavmae/core/options.h"
#include "cavmae/models/checkpoint.h"
#include "cavmae/models/convert_model.h"
#include "cavmae/models/initial_parameters.h"
#include "cavmae/models/model_file.h"
#include "cavmae/models/pretrained.h"

#include "tests/models/toy_model.h"
#include "tests/support/program.h"
#include "tests/support/tools.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing_support::golden_path;
using testing_support::random_model;
using testing_support::run_shell;
using testing_support::small_config;
using testing_support::stated;

const InferenceHints kSmallHeads{.num_heads = 2, .decoder_num_heads = 2};

class ForeignCheckpoint : public ::testing::Test {
 protected:
  void SetUp() override { write(named(model_)); }

  static NamedTensors named(const CavMae& model) {
    NamedTensors tensors;
    for (const auto& item : model->named_parameters())
      tensors.emplace_back(item.key(), item.value().detach());
    return tensors;
  }
  void write(const NamedTensors& tensors) { write_pth(file_, tensors); }
  Pretrained load(const LoadOptions& options = stated(kSmallHeads)) const {
    return load_pretrained(file_, options);
  }
  std::string refusal(const LoadOptions& options = stated(kSmallHeads)) const {
    return message_from<CheckpointError>([&] { load(options); });
  }
  void expect_whole(const fs::path& file, const LoadOptions& options = stated(kSmallHeads)) const {
    CavMae network = load_pretrained(file, options).network();
    const auto expected = model_->named_parameters();
    ASSERT_EQ(network->named_parameters().keys(), expected.keys()) << file;
    for (const auto& item : network->named_parameters())
      EXPECT_TRUE(item.value().equal(expected[item.key()])) << file << " " << item.key();
  }
  // Renames what begins with `from`.
  NamedTensors renamed(const std::string& from, const std::string& to) const {
    NamedTensors tensors = named(model_);
    for (auto& [name, tensor] : tensors)
      if (name.starts_with(from)) name = to + name.substr(from.size());
    return tensors;
  }
  NamedTensors without(const std::string& prefix) const {
    NamedTensors tensors = named(model_);
    std::erase_if(tensors, [&](const auto& item) { return item.first.starts_with(prefix); });
    return tensors;
  }

  TemporaryFolder folder_;
  fs::path file_ = folder_ / "m.pth";
  CavMae model_ = random_model(small_config(), 1);
};

TEST_F(ForeignCheckpoint, RenamedLayersAreRefusedWithTheirNames) {
  write(renamed("blocks_a.", "audio_blocks."));
  EXPECT_THAT(refusal(), AllOf(HasSubstr("m.pth: lacks"), HasSubstr("blocks_a.*.attn.qkv.weight (2)"),
                               HasSubstr("no place for"), HasSubstr("audio_blocks.*.attn.qkv.weight (2)"),
                               HasSubstr("--allow-partial")));
  LoadOptions partial = stated(kSmallHeads);
  partial.partial = PartialFile::allow;
  const Pretrained loaded = load(partial);
  EXPECT_EQ(loaded.network()->config().modality_depth, 2) << "never 0";
  EXPECT_THAT(loaded.report.missing, ::testing::Contains("blocks_a.1.mlp.fc1.weight"));
  EXPECT_THAT(loaded.report.unexpected, ::testing::Contains("audio_blocks.1.mlp.fc1.weight"));
}

TEST_F(ForeignCheckpoint, WhateverIsRenamedOrMissingIsNamed) {
  for (const char* prefix :
       {"blocks_a.0.", "blocks_a.1.", "blocks_v.", "blocks_u.", "norm.", "norm_a.", "patch_embed_a.",
        "patch_embed_v.", "modality_a", "pos_embed_v", "pos_embed_a", "mask_token", "decoder_embed.",
        "decoder_blocks.", "decoder_pred_v.", "blocks_u.0.norm1_v."}) {
    write(without(prefix));
    EXPECT_THAT(refusal(), AllOf(HasSubstr("lacks"), HasSubstr(std::string(prefix).substr(0, 7)))) << prefix;
    write(renamed(prefix, "other_" + std::string(prefix)));
    EXPECT_THAT(refusal(), AllOf(HasSubstr("lacks"), HasSubstr("no place for"), HasSubstr("other_")))
        << prefix;
  }
}

// With every layer under another name nothing tells how many there are; an empty stack would pass for none.
TEST_F(ForeignCheckpoint, LayersThatAreAllUnderOtherNamesAreNeverTakenForNone) {
  NamedTensors tensors = renamed("blocks_", "layers_");
  write(tensors);
  LoadOptions partial = stated(kSmallHeads);
  partial.partial = PartialFile::allow;
  EXPECT_THAT(refusal(partial), AllOf(HasSubstr("layers_a.*.attn.qkv.weight (2)"), HasSubstr("rename them")));
}

TEST_F(ForeignCheckpoint, TokensOfALaterModelAreRefused) {
  NamedTensors tensors = named(model_);
  tensors.emplace_back("frame_token_a", torch::zeros({1, 1, 24}));
  tensors.emplace_back("prompt_tokens", torch::zeros({6, 24}));
  write(tensors);
  EXPECT_THAT(refusal(),
              HasSubstr("has 2 tensors that the network has no place for: frame_token_a, prompt_tokens"));
  auto fresh = random_model(small_config(), 3);
  EXPECT_THAT(
      message_from<CheckpointError>([&] { load_initial_parameters(*fresh, fresh->config(), file_, {}); }),
      HasSubstr("prompt_tokens"));
  EXPECT_THAT(load_initial_parameters(*fresh, fresh->config(), file_, {.partial = PartialFile::allow})
                  .parameters.unexpected,
              ElementsAre("frame_token_a", "prompt_tokens"));
  EXPECT_THAT(message_from<CheckpointError>(
                  [&] { convert_model(file_, folder_ / "m.safetensors", stated(kSmallHeads)); }),
              HasSubstr("prompt_tokens"));
}

TEST_F(ForeignCheckpoint, ParametersThatAreNotFiniteAreRefused) {
  NamedTensors tensors = named(model_);
  for (auto& [name, tensor] : tensors)
    if (name == "norm_a.bias") tensor = torch::full_like(tensor, NAN);
  write(tensors);
  EXPECT_THAT(refusal(), HasSubstr("'norm_a.bias' holds values that are not finite"));
  LoadOptions later = stated(kSmallHeads);
  later.finite = FiniteCheck::by_caller;
  const Pretrained loaded = load(later);
  EXPECT_THAT(message_from<CheckpointError>([&] { loaded.require_finite(); }),
              HasSubstr("'norm_a.bias' holds values that are not finite"));
}

TEST_F(ForeignCheckpoint, WithoutItsRunsFlagsItIsRefusedWithThoseToGive) {
  const auto message = [&](const LoadOptions& options) {
    return message_from<ConfigError>([&] { load_pretrained(file_, options); });
  };
  EXPECT_THAT(message({}),
              AllOf(HasSubstr("width 24"), HasSubstr("12 audio positions"),
                    HasSubstr("give --num-heads N --decoder-num-heads N --fbank-mean X --fbank-std X "
                              "--window-seconds SECONDS;"),
                    HasSubstr("m.pth.json")));
  EXPECT_THAT(message({.hints = {.num_heads = 2}, .decoder = DecoderUse::none}),
              AllOf(HasSubstr("give --fbank-mean"), Not(HasSubstr("heads N"))));
  EXPECT_THAT(message({.hints = {.num_heads = 5}}),
              HasSubstr("num_heads is 5, which does not divide the width 24"));
  EXPECT_THAT(message({.hints = {.num_mel_bins = 48}}), HasSubstr("those of 32 mel bins and 96 frames"));
  expect_whole(file_);
  EXPECT_EQ(load().spec.num_mel_bins, 32) << "as the fixed positions show";
  EXPECT_EQ(load().spec.num_fbank_frames, 96);
}

TEST_F(ForeignCheckpoint, PositionsOfNoGridNeedTheMelBins) {
  NamedTensors tensors = named(model_);
  for (auto& [name, tensor] : tensors)
    if (name.ends_with("pos_embed_a")) tensor = torch::randn(tensor.sizes());
  write(tensors);
  EXPECT_THAT(message_from<ConfigError>([&] { load(); }), HasSubstr("give --num-mel-bins N;"));
  LoadOptions options = stated({.num_heads = 2, .decoder_num_heads = 2, .num_mel_bins = 32});
  EXPECT_EQ(load(options).network()->config().num_fbank_frames, 96);
  options.hints.num_mel_bins = 80;
  EXPECT_THAT(message_from<ConfigError>([&] { load(options); }), HasSubstr("are no grid"));
}

// At the authors' widths and inputs their values hold, and the caller is told which.
TEST_F(ForeignCheckpoint, TheAuthorsValuesHoldForTheirModels) {
  CavMaeConfig config;  // the paper's, of one layer each
  config.modality_depth = config.decoder_depth = 1;
  CavMae model(config);
  write(named(model));
  const Pretrained loaded = load({});
  EXPECT_EQ(option_to_json(loaded.network()->config()), option_to_json(config));
  EXPECT_EQ(loaded.spec.fbank_mean, -5.081);
  EXPECT_EQ(loaded.spec.window_seconds, 10.0);
  EXPECT_EQ(list_of(loaded.assumed),
            "num_heads 12, decoder_num_heads 16, fbank_mean -5.081, fbank_std 4.4849, window_seconds 10.0");
  EXPECT_FALSE(loaded.states_spec);
  const Pretrained other = load({.hints = {.num_heads = 8}, .shape = {.fbank_mean = -4.0}});
  EXPECT_EQ(other.network()->config().num_heads, 8);
  EXPECT_EQ(other.spec.fbank_mean, -4.0);
  EXPECT_EQ(list_of(other.assumed), "decoder_num_heads 16, fbank_std 4.4849, window_seconds 10.0");
  config.num_fbank_frames = 512;  // 5 s: nobody knows the window and what it was normalised by
  CavMae shorter(config);
  write(named(shorter));
  EXPECT_THAT(message_from<ConfigError>([&] { load({}); }),
              AllOf(HasSubstr("give --fbank-mean"), Not(HasSubstr("heads"))));
}

TEST_F(ForeignCheckpoint, AnAuthorsClassifierIsKnownByItsClasses) {
  CavMaeConfig config;
  config.modality_depth = 1;
  const auto message_or_scores = [&](int64_t classes) -> std::string {
    Classifier classifier(config, HeadOptions{.num_classes = classes});
    write(named(as_network(classifier)));
    try {
      return enum_name(load({}).classifier()->head_options().scores);
    } catch (const ConfigError& error) {
      return error.what();
    }
  };
  EXPECT_EQ(message_or_scores(527), "sigmoid");
  EXPECT_EQ(message_or_scores(309), "softmax");
  EXPECT_THAT(message_or_scores(50), HasSubstr("give --scores sigmoid|softmax;"));
}

TEST_F(ForeignCheckpoint, TheDescriptionBesideItIsReadBack) {
  const InputSpec spec{.num_fbank_frames = 96,
                       .num_mel_bins = 32,
                       .image_size = 48,
                       .num_frames = 3,
                       .window_seconds = 0.9,
                       .fbank_mean = -3.5,
                       .fbank_std = 2.5,
                       .audio_channels = ChannelMix::mean};
  Classifier classifier(small_config(), HeadOptions{.num_classes = 2,
                                                    .mode = Modalities::audio,
                                                    .representation = Representation::sum,
                                                    .scores = ScoreKind::softmax});
  save_classifier(folder_ / "c.safetensors", classifier, spec, {{"/m/1", "One"}, {"/m/2", "Two, and more"}});
  const Conversion there = convert_model(folder_ / "c.safetensors", folder_ / "c.pth");
  EXPECT_EQ(there.description, folder_ / "c.pth.json");
  EXPECT_THAT(there.unstated, IsEmpty());
  const Pretrained before = load_pretrained(folder_ / "c.safetensors"),
                   after = load_pretrained(folder_ / "c.pth");
  EXPECT_EQ(after.described_in, folder_ / "c.pth.json");
  EXPECT_EQ(after.spec, before.spec);
  EXPECT_TRUE(after.states_spec);
  EXPECT_EQ(after.labels, before.labels);
  EXPECT_THAT(after.assumed, IsEmpty());
  EXPECT_EQ(option_to_json(after.classifier()->head_options()),
            option_to_json(before.classifier()->head_options()));
  EXPECT_EQ(option_to_json(after.network()->config()), option_to_json(before.network()->config()));
  convert_model(folder_ / "c.pth", folder_ / "again.safetensors");
  EXPECT_EQ(read_safetensors_metadata(folder_ / "again.safetensors"),
            read_safetensors_metadata(folder_ / "c.safetensors"));
  EXPECT_THAT(
      message_from<ConfigError>([&] { load_pretrained(folder_ / "c.pth", {.hints = {.num_heads = 4}}); }),
      AllOf(HasSubstr("c.pth.json: states num_heads 2"), HasSubstr("4 was given")));
}

TEST_F(ForeignCheckpoint, ADescriptionMayStateAPart) {
  write_json(folder_ / "m.pth.json", {{"format", "cavmae"},
                                      {"model", {{"num_heads", 2}, {"decoder_num_heads", 2}}},
                                      {"features", {{"fbank_mean", -3.0}}}});
  EXPECT_THAT(message_from<ConfigError>([&] { load({}); }),
              HasSubstr("give --fbank-std X --window-seconds SECONDS;"));
  const Pretrained loaded = load({.shape = {.window_seconds = 1.0, .fbank_std = 4.0}});
  EXPECT_EQ(loaded.network()->config().num_heads, 2);
  EXPECT_EQ(loaded.spec.fbank_mean, -3.0);
  EXPECT_EQ(loaded.spec.fbank_std, 4.0);
  write_json(folder_ / "m.pth.json", {{"some", "one else's"}});
  EXPECT_THAT(message_from<ConfigError>([&] { load({}); }), HasSubstr("give --num-heads"));
  write_json(folder_ / "m.pth.json", {{"model", {{"num_heads", 2}}}});
  EXPECT_THAT(message_from<CheckpointError>([&] { load({}); }),
              HasSubstr("m.pth.json: lacks \"format\": \"cavmae\""));
  write_json(folder_ / "m.pth.json", {{"format", "cavmae"}, {"feature", {{"fbank_mean", -3.0}}}});
  EXPECT_THAT(message_from<CheckpointError>([&] { load({}); }),
              HasSubstr("m.pth.json: unknown key 'feature' (did you mean 'features'?)"));
  std::ofstream(folder_ / "m.pth.json") << "{";
  EXPECT_THAT(message_from<ConfigError>([&] { load({}); }), HasSubstr("m.pth.json: not valid JSON"));
}

TEST_F(ForeignCheckpoint, ASafetensorsThatDoesNotSayIsDescribedBesideItToo) {
  write_safetensors(folder_ / "m.safetensors", named(model_), {});
  EXPECT_THAT(message_from<ConfigError>([&] { load_pretrained(folder_ / "m.safetensors"); }),
              HasSubstr("m.safetensors.json beside it"));
  write_json(folder_ / "m.safetensors.json",
             {{"format", "cavmae"},
              {"model", {{"num_heads", 2}, {"decoder_num_heads", 2}}},
              {"features", {{"fbank_mean", -3.0}, {"fbank_std", 2.0}, {"window_seconds", 1.0}}}});
  const Pretrained loaded = load_pretrained(folder_ / "m.safetensors");
  EXPECT_EQ(loaded.described_in, folder_ / "m.safetensors.json");
  EXPECT_EQ(loaded.spec.fbank_mean, -3.0);
  // What a file of ours says itself holds.
  save_model(folder_ / "ours.safetensors", model_, InputSpec{.fbank_mean = -5.0});
  write_json(folder_ / "ours.safetensors.json", {{"format", "cavmae"}, {"features", {{"fbank_mean", -3.0}}}});
  EXPECT_EQ(load_pretrained(folder_ / "ours.safetensors").spec.fbank_mean, -5.0);
}

TEST_F(ForeignCheckpoint, AFailedConversionLeavesTheOldPairAlone) {
  save_model(folder_ / "a.safetensors", model_, InputSpec{});
  convert_model(folder_ / "a.safetensors", folder_ / "b.pth");
  const std::string before = testing_support::read_whole(folder_ / "b.pth.json");
  write_safetensors(folder_ / "bad.safetensors", without("blocks_a.0."),
                    {{"model", option_to_json(small_config()).dump()}});
  EXPECT_THROW(convert_model(folder_ / "bad.safetensors", folder_ / "b.pth"), CheckpointError);
  EXPECT_EQ(testing_support::read_whole(folder_ / "b.pth.json"), before);
}

TEST_F(ForeignCheckpoint, AnInitOfOtherHeadsIsRefused) {
  save_model(folder_ / "a.safetensors", model_, InputSpec{});
  CavMaeConfig config = small_config();
  config.num_heads = 4;
  auto other = random_model(config, 2);
  EXPECT_THAT(message_from<ConfigError>(
                  [&] { load_initial_parameters(*other, config, folder_ / "a.safetensors", {}); }),
              HasSubstr("num_heads is 4, but the network of"));
}

// Positions of as many patches on another grid look alike to whoever compares sizes.
TEST_F(ForeignCheckpoint, AnInitOfAnotherGridIsRefusedOrFitted) {
  save_model(folder_ / "a.safetensors", model_, InputSpec{});
  CavMaeConfig config = small_config();
  config.num_mel_bins = 64, config.num_fbank_frames = 48;  // 4 x 3 instead of 2 x 6
  auto other = random_model(config, 2);
  EXPECT_THAT(
      message_from<CheckpointError>(
          [&] { load_initial_parameters(*other, config, folder_ / "a.safetensors", {}); }),
      AllOf(HasSubstr("positions of 2 x 6 patches, the model's are 4 x 3"), HasSubstr("--resize-positions")));
  EXPECT_THAT(
      load_initial_parameters(*other, config, folder_ / "a.safetensors", {.positions = PositionFit::trim})
          .parameters.resized,
      ElementsAre("pos_embed_a (computed for 4 x 3)", "decoder_pos_embed_a (computed for 4 x 3)"));
}

// ---- as torch.save() writes them

TEST_F(ForeignCheckpoint, OfTrainingProgramsAreReadInBothFormats) {
  CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_python_torch(), "python3-torch");
  std::ofstream(folder_ / "save.py") << R"(
import argparse, collections, pathlib, sys
import numpy, torch
sd = collections.OrderedDict((n[len('module.'):] if n.startswith('module.') else n, t)
                             for n, t in torch.load(sys.argv[1]).items())
w = torch.nn.Parameter(next(iter(sd.values())).clone())
optimizer = torch.optim.Adam([w])
w.sum().backward()
optimizer.step()
pre = lambda prefix, d=sd: collections.OrderedDict((prefix + n, t) for n, t in d.items())
ema = {n: t if 'pos_embed' in n else torch.zeros_like(t) for n, t in sd.items()}
moments = {n: {'exp_avg': torch.zeros_like(t)} for n, t in sd.items()}
inner = collections.OrderedDict((n.replace('blocks_a.', 'blocks_a._orig_mod.').replace('attn.', '_checkpoint_wrapped_module.attn.'), t)
                                for n, t in sd.items())
compiled = pre('_orig_mod.')
compiled._metadata = {'': {'version': 1}}
files = dict(
    plain=sd, parallel=pre('module.'), compiled=compiled, both=pre('module._orig_mod.'), inner=inner, any=pre('net.backbone.'),
    best={'model': sd, 'best_acc': numpy.float64(.5), 'epoch': 3, 'args': argparse.Namespace(lr=1, out=pathlib.Path('x'))},
    timm={'epoch': 1, 'arch': 'cav', 'state_dict': sd, 'optimizer': optimizer.state_dict(), 'state_dict_ema': ema, 'version': 2,
          'metric': numpy.float64(1)},
    lightning={'epoch': 4, 'global_step': 10, 'pytorch-lightning_version': '2.1', 'state_dict': pre('model.'),
               'loops': {'fit_loop': {'state_dict': {}, 'epoch_progress': {'total': collections.Counter(a=1)}}},
               'callbacks': {"ModelCheckpoint{'monitor': 'loss'}": {'best_model_score': torch.tensor(.1), 'best_model_path': 'x'},
                             'EMA': {'state': pre('model.', ema)}},
               'optimizer_states': [optimizer.state_dict()], 'lr_schedulers': [{'base_lrs': [1e-3]}],
               'hparams_name': 'kwargs', 'hyper_parameters': {'lr': 1e-3, 'device': torch.device('cpu'), 'dtype': torch.bfloat16}},
    lightning_ema={'state_dict': collections.OrderedDict(list(pre('ema_model.', ema).items()) + list(pre('model.').items()))},
    deepspeed={'module': pre('', sd), 'buffer_names': [], 'optimizer': {'state': moments}, 'param_shapes': [{'w': torch.Size([1])}],
               'sparse_tensor_module_names': {1, 2}, 'ds_config': {'a': 1}, 'global_steps': 3, 'dp_world_size': 4},
    averaged={'model': collections.OrderedDict([('n_averaged', torch.tensor(3))] + list(pre('module.').items()))},
    by_name={'optimizer': {'exp_avg': ema}, 'net': sd, 'rng': torch.get_rng_state(), 'np': numpy.random.get_state()},
    half={'model': {n: t for n, t in sd.items()}, 'sets': {1, 2}, 'default': collections.defaultdict(int, a=1)})
for name, value in files.items():
    for legacy in False, True:
        torch.save(value, f'{sys.argv[2]}/{"old_" if legacy else ""}{name}.pth', _use_new_zipfile_serialization=not legacy)
)";
  fs::create_directory(folder_ / "files");
  const auto outcome = run_shell("/usr/bin/python3 '" + (folder_ / "save.py").string() + "' '" +
                                 file_.string() + "' '" + (folder_ / "files").string() + "'");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  int files = 0;
  for (const auto& entry : fs::directory_iterator(folder_ / "files")) {
    try {
      expect_whole(entry.path());
      EXPECT_EQ(
          option_to_json(describe_model(inspect_model_file(entry.path()), entry.path(), kSmallHeads).config),
          option_to_json(small_config()));
    } catch (const Error& error) {
      ADD_FAILURE() << error.what();
    }
    ++files;
  }
  EXPECT_EQ(files, 28);
  const Pretrained timm = load_pretrained(folder_ / "files/timm.pth", stated(kSmallHeads));
  EXPECT_EQ(timm.network_in_file, "state_dict");
  EXPECT_THAT(timm.copies, ElementsAre("state_dict_ema"));
  LoadOptions averaged = stated(kSmallHeads);
  averaged.network = "state_dict_ema";
  EXPECT_TRUE(load_pretrained(folder_ / "files/timm.pth", averaged)
                  .network()
                  ->named_parameters()["norm.weight"]
                  .eq(0)
                  .all()
                  .item<bool>());
}

}  // namespace
}  // namespace cavmae
