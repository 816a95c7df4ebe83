#include "cavmae/models/initial_parameters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/core/json.h"
#include "cavmae/core/options.h"
#include "cavmae/models/checkpoint.h"
#include "cavmae/models/convert_model.h"
#include "cavmae/models/pretrained.h"
#include "cavmae/nn/position_embedding.h"
#include "cavmae/tensorfile/pth.h"

#include "tests/models/toy_model.h"
#include "tests/support/program.h"

namespace cavmae {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing_support::golden_config;
using testing_support::golden_path;
using testing_support::random_model;
using testing_support::small_config;

using Parameters = torch::OrderedDict<std::string, torch::Tensor>;

// Three layers, as many as the small network's two of each modality and its joint one.
constexpr int64_t kLayers = 3;

enum class Decoder { without, with };

// An image MAE with the widths of small_config(), as He et al. save it: a class token, no audio, no streams.
NamedTensors image_mae(Decoder decoder, int64_t grid_side = 3) {
  const CavMaeConfig c = small_config();
  auto generator = at::detail::createCPUGenerator(7);
  NamedTensors out;
  const auto add = [&](const std::string& name, torch::IntArrayRef sizes) {
    out.emplace_back(name, torch::empty(sizes).normal_(0, 1, generator));
  };
  const auto add_linear = [&](const std::string& name, int64_t outputs, int64_t inputs) {
    add(name + ".weight", {outputs, inputs});
    add(name + ".bias", {outputs});
  };
  const auto add_norm = [&](const std::string& name, int64_t width) {
    add(name + ".weight", {width});
    add(name + ".bias", {width});
  };
  const auto add_block = [&](const std::string& name, int64_t width) {
    add_norm(name + ".norm1", width);
    add_linear(name + ".attn.qkv", 3 * width, width);
    add_linear(name + ".attn.proj", width, width);
    add_norm(name + ".norm2", width);
    add_linear(name + ".mlp.fc1", 4 * width, width);
    add_linear(name + ".mlp.fc2", width, 4 * width);
  };
  const int64_t width = c.embed_dim, decoder_width = c.decoder_embed_dim;
  add("cls_token", {1, 1, width});
  const auto positions = [&](const std::string& name, int64_t w) {
    const auto table = sincos_positions(w, {.rows = grid_side, .columns = grid_side});
    out.emplace_back(name, torch::cat({torch::zeros({1, 1, w}), table}, 1));
  };
  positions("pos_embed", width);
  add("patch_embed.proj.weight", {width, 3, c.patch_size, c.patch_size});
  add("patch_embed.proj.bias", {width});
  for (int64_t i = 0; i < kLayers; ++i) add_block("blocks." + std::to_string(i), width);
  add_norm("norm", width);
  if (decoder == Decoder::without) return out;
  add("mask_token", {1, 1, decoder_width});
  positions("decoder_pos_embed", decoder_width);
  add_linear("decoder_embed", decoder_width, width);
  for (int64_t i = 0; i < c.decoder_depth; ++i)
    add_block("decoder_blocks." + std::to_string(i), decoder_width);
  add_norm("decoder_norm", decoder_width);
  add_linear("decoder_pred", c.video_patch_values(), decoder_width);
  return out;
}

torch::Tensor tensor_of(const NamedTensors& tensors, const std::string& name) {
  for (const auto& [known, tensor] : tensors)
    if (known == name) return tensor;
  throw Error("no tensor '" + name + "'");
}

class FromImageMae : public ::testing::Test {
 protected:
  InitialReport load(CavMae& model, const NamedTensors& tensors, PositionFit fit = PositionFit::refuse) {
    write_pth(folder_ / "mae.pth", tensors);
    return load_initial_parameters(*model, model->config(), folder_ / "mae.pth", {.positions = fit});
  }
  TemporaryFolder folder_;
};

TEST_F(FromImageMae, EveryRuleOfTheMapping) {
  auto model = random_model(small_config(), 1);
  const Parameters before = random_model(small_config(), 1)->named_parameters();
  const NamedTensors mae = image_mae(Decoder::with);
  const InitialReport report = load(model, mae);
  const Parameters now = model->named_parameters();
  const auto expect = [&](const std::string& ours, const torch::Tensor& theirs) {
    EXPECT_TRUE(now[ours].equal(theirs)) << ours;
  };
  const std::vector<std::string> block_parts = {"norm1", "attn.qkv", "attn.proj",
                                                "norm2", "mlp.fc1",  "mlp.fc2"};
  for (const std::string kind : {".weight", ".bias"}) {
    for (const std::string& part : block_parts) {
      for (const std::string layer : {"0", "1"}) {
        const auto theirs = tensor_of(mae, "blocks." + layer + "." + part + kind);
        expect("blocks_a." + layer + "." + part + kind, theirs);
        expect("blocks_v." + layer + "." + part + kind, theirs);
      }
      expect("blocks_u.0." + part + kind, tensor_of(mae, "blocks.2." + part + kind));
      expect("decoder_blocks.1." + part + kind, tensor_of(mae, "decoder_blocks.1." + part + kind));
    }
    for (const std::string stream : {"", "_a", "_v"}) {
      expect("blocks_u.0.norm1" + stream + kind, tensor_of(mae, "blocks.2.norm1" + kind));
      expect("blocks_u.0.norm2" + stream + kind, tensor_of(mae, "blocks.2.norm2" + kind));
      expect("norm" + stream + kind, tensor_of(mae, "norm" + kind));
    }
    expect("decoder_embed" + kind, tensor_of(mae, "decoder_embed" + kind));
    expect("decoder_norm" + kind, tensor_of(mae, "decoder_norm" + kind));
    expect("decoder_pred_v" + kind, tensor_of(mae, "decoder_pred" + kind));
    expect("decoder_pred_a" + kind, tensor_of(mae, "decoder_pred" + kind).narrow(0, 0, 256));
    // The norms of streams that never pass the modality's own layers.
    EXPECT_TRUE(now["blocks_a.0.norm1_a" + kind].equal(before["blocks_a.0.norm1_a" + kind]));
  }
  expect("patch_embed_v.proj.weight", tensor_of(mae, "patch_embed.proj.weight"));
  expect("patch_embed_a.proj.weight", tensor_of(mae, "patch_embed.proj.weight").sum(1, true));
  expect("patch_embed_v.proj.bias", tensor_of(mae, "patch_embed.proj.bias"));
  expect("patch_embed_a.proj.bias", tensor_of(mae, "patch_embed.proj.bias"));
  expect("mask_token", tensor_of(mae, "mask_token"));
  expect("pos_embed_v", tensor_of(mae, "pos_embed").slice(1, 1));
  expect("decoder_pos_embed_v", tensor_of(mae, "decoder_pos_embed").slice(1, 1));
  for (const char* own : {"pos_embed_a", "decoder_pos_embed_a", "modality_a", "modality_v",
                          "decoder_modality_a", "decoder_modality_v"}) {
    EXPECT_TRUE(now[own].equal(before[own])) << own;
    EXPECT_THAT(report.parameters.missing, Contains(own));
  }
  EXPECT_TRUE(report.image_mae);
  EXPECT_THAT(report.parameters.unexpected, ElementsAre("cls_token"));
}

TEST_F(FromImageMae, EncoderAloneLeavesTheDecoderAtItsInitialValues) {
  auto model = random_model(small_config(), 1);
  const Parameters before = random_model(small_config(), 1)->named_parameters();
  const InitialReport report = load(model, image_mae(Decoder::without));
  for (const auto& item : model->named_parameters()) {
    if (!item.key().starts_with("decoder") && item.key() != "mask_token") continue;
    EXPECT_TRUE(item.value().equal(before[item.key()])) << item.key();
    EXPECT_THAT(report.parameters.missing, Contains(item.key()));
  }
  EXPECT_THAT(summarize_names(report.parameters.missing), HasSubstr("decoder_blocks.*.attn.qkv.weight (2)"));
}

TEST_F(FromImageMae, LayersGoWhereTheSystemHasThem) {
  const NamedTensors mae = image_mae(Decoder::with);
  CavMaeConfig vanilla = small_config();
  vanilla.joint_streams = JointStreams::concat;
  vanilla.modality_depth = 0;
  vanilla.joint_depth = 3;
  auto model = random_model(vanilla, 2);
  EXPECT_THAT(load(model, mae).parameters.unexpected, ElementsAre("cls_token"));
  EXPECT_TRUE(model->named_parameters()["blocks_u.1.mlp.fc1.weight"].equal(
      tensor_of(mae, "blocks.1.mlp.fc1.weight")));
  CavMaeConfig sound = small_config();
  sound.modalities = Modalities::audio;
  sound.joint_streams = JointStreams::none;
  sound.joint_depth = 0;
  auto listener = random_model(sound, 3);
  const InitialReport report = load(listener, mae);
  EXPECT_THAT(report.parameters.unexpected,
              AllOf(Contains("cls_token"), Contains("pos_embed"), Contains("blocks.2.norm1.weight"),
                    Not(Contains("blocks.1.norm1.weight")), Not(Contains("decoder_pred.weight"))));
  EXPECT_TRUE(listener->named_parameters()["norm.weight"].equal(tensor_of(mae, "norm.weight")));
}

TEST_F(FromImageMae, PicturesOfAnotherSizeNeedTheirPositionsResized) {
  auto model = random_model(small_config(), 1);
  const NamedTensors mae = image_mae(Decoder::with, 14);
  try {
    load(model, mae);
    FAIL() << "no error";
  } catch (const CheckpointError& error) {
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("'pos_embed_v'"), HasSubstr("[1, 196, 24]"), HasSubstr("[1, 9, 24]"),
                      HasSubstr("'decoder_pos_embed_v'"), HasSubstr("--resize-positions")));
  }
  const InitialReport report = load(model, mae, PositionFit::interpolate);
  EXPECT_THAT(report.parameters.resized,
              ElementsAre("pos_embed_v (computed for 3 x 3)", "decoder_pos_embed_v (computed for 3 x 3)"));
  EXPECT_TRUE(
      model->named_parameters()["pos_embed_v"].equal(sincos_positions(24, {.rows = 3, .columns = 3})));
}

TEST_F(FromImageMae, IsNoCavMaeByItself) {
  TemporaryFolder folder;
  write_safetensors(folder / "mae.safetensors", image_mae(Decoder::with));
  EXPECT_THAT(message_from<CheckpointError>([&] { load_pretrained(folder / "mae.safetensors"); }),
              AllOf(HasSubstr("mae.safetensors"), HasSubstr("image MAE"), HasSubstr("--init")));
}

TEST(InitialParameters, OurCheckpointsAndTheAuthorsAreTakenByName) {
  TemporaryFolder folder;
  auto saved = random_model(golden_config(), 4), model = random_model(golden_config(), 5);
  save_model(folder / "model.safetensors", saved, InputSpec{});
  convert_model(folder / "model.safetensors", folder / "model.pth", {});
  for (const char* name : {"model.safetensors", "model.pth"}) {
    initialize(model, 5);
    const InitialReport report = load_initial_parameters(*model, model->config(), folder / name, {});
    EXPECT_THAT(report.parameters.missing, IsEmpty());
    EXPECT_THAT(report.parameters.unexpected, IsEmpty());
    EXPECT_FALSE(report.image_mae);
    for (const auto& item : model->named_parameters())
      EXPECT_TRUE(item.value().equal(saved->named_parameters()[item.key()])) << item.key();
  }
}

TEST(InitialParameters, OfSeveralNetworksTheOneThatIsAskedForIsTaken) {
  TemporaryFolder folder;
  const auto raw = random_model(golden_config(), 4), averaged = random_model(golden_config(), 5);
  NamedTensors both;
  for (const auto& item : averaged->named_parameters()) both.emplace_back("ema." + item.key(), item.value());
  for (const auto& item : raw->named_parameters()) both.emplace_back("model." + item.key(), item.value());
  write_pth(folder / "both.pth", both);
  write_json(folder / "both.pth.json", {{"format", "cavmae"}, {"model", option_to_json(golden_config())}});
  auto model = random_model(golden_config(), 6);
  const auto takes = [&](const std::string& network, const CavMae& expected) {
    const InitialReport report =
        load_initial_parameters(*model, model->config(), folder / "both.pth", {.network = network});
    return report.copies.size() == 1 && model->parameters()[0].equal(expected->parameters()[0]);
  };
  EXPECT_TRUE(takes("", raw));
  EXPECT_TRUE(takes("ema", averaged));
  EXPECT_TRUE(takes("model", raw));
  EXPECT_THAT(message_from<ConfigError>([&] { takes("mean", raw); }),
              AllOf(HasSubstr("both.pth: holds no network under 'mean'"), HasSubstr("'ema', 'model'")));
}

TEST(InitialParameters, AFineTunedModelGivesItsEncodersAlone) {
  auto model = random_model(golden_config(), 6);
  const Parameters before = random_model(golden_config(), 6)->named_parameters();
  const InitialReport report =
      load_initial_parameters(*model, model->config(), golden_path("authors_finetune_legacy.pth"), {});
  EXPECT_THAT(report.parameters.unexpected, Contains("mlp_head.1.weight"));
  EXPECT_THAT(report.parameters.missing, Contains("mask_token"));
  EXPECT_TRUE(model->named_parameters()["mask_token"].equal(before["mask_token"]));
  const auto file = strip_prefix(read_pth(golden_path("authors_finetune_legacy.pth")), "module.");
  EXPECT_TRUE(
      model->named_parameters()["blocks_a.3.mlp.fc2.bias"].equal(tensor_of(file, "blocks_a.3.mlp.fc2.bias")));
}

TEST(InitialParameters, EveryTensorOfAnotherSizeIsNamed) {
  TemporaryFolder folder;
  auto saved = random_model(small_config(), 7);
  save_model(folder / "model.safetensors", saved, InputSpec{});
  CavMaeConfig wider = small_config();
  wider.decoder_embed_dim = 32;
  auto model = random_model(wider, 8);
  try {
    load_initial_parameters(*model, wider, folder / "model.safetensors",
                            {.positions = PositionFit::interpolate});
    FAIL() << "no error";
  } catch (const CheckpointError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("'mask_token'"), HasSubstr("'decoder_modality_a'"),
                                    HasSubstr("more"), Not(HasSubstr("--resize-positions"))));
  }
}

TEST(SummarizeNames, NamesThatDifferInANumberAreToldOnce) {
  EXPECT_EQ(summarize_names({"blocks_a.0.norm1.bias", "mask_token", "blocks_a.11.norm1.bias"}),
            "blocks_a.*.norm1.bias (2), mask_token");
  EXPECT_EQ(summarize_names({}), "");
}

}  // namespace
}  // namespace cavmae
