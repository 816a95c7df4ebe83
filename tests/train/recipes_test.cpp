// Every pretraining recipe in configs/: the file itself, and the same system at toy size learning for a few
// steps.
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/options.h"
#include "cavmae/models/pretrained.h"
#include "cavmae/train/setup.h"

#include "tests/train/toy_run.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;

// What the paper and the authors' scripts say of each recipe.
struct Recipe {
  std::string name;
  int64_t parameters = 0;  // counted by hand from the widths and depths
  int64_t epochs = 25;
  double lr = 5e-5;
  int64_t batch_size = 48;
  int64_t contrastive_batch = 0;
  bool reconstructs = true, contrasts = true;
};

std::ostream& operator<<(std::ostream& out, const Recipe& recipe) {
  return out << recipe.name;
}

std::vector<Recipe> recipes() {
  constexpr int64_t kCavMae = 191'036'160;
  return {
      {.name = "audio-mae", .parameters = 111'655'680, .contrasts = false},
      {.name = "visual-mae", .parameters = 111'907'072, .contrasts = false},
      {.name = "cav", .parameters = 164'360'448, .contrastive_batch = 12, .reconstructs = false},
      {.name = "av-mae-vanilla", .parameters = 112'892'416, .contrasts = false},
      {.name = "av-mae", .parameters = 190'859'008, .contrasts = false},
      {.name = "cav-mae", .parameters = kCavMae, .contrastive_batch = 12},
      {.name = "cav-mae-scale+",
       .parameters = kCavMae,
       .lr = 1e-4,
       .batch_size = 108,
       .contrastive_batch = 27},
      {.name = "cav-mae-scale++",
       .parameters = kCavMae,
       .lr = 2e-4,
       .batch_size = 256,
       .contrastive_batch = 64},
      {.name = "cav-mae-vggsound-from-imagenet", .parameters = kCavMae, .lr = 1e-4, .batch_size = 120},
      {.name = "cav-mae-vggsound-from-audioset",
       .parameters = kCavMae,
       .epochs = 10,
       .lr = 5e-5,
       .batch_size = 120},
  };
}

fs::path config_file(const std::string& name) {
  return fs::path(CAVMAE_SOURCE_DIR) / "configs" / (name + ".json");
}

PretrainOptions read_recipe(const std::string& name) {
  PretrainOptions options;
  option_from_json(read_json(config_file(name)), options, name);
  return options;
}

// The structure as it is, the widths of a toy, groups of two in batches of four.
PretrainOptions toy_sized(PretrainOptions options) {
  const CavMaeConfig toy = toy_config();
  options.model.num_fbank_frames = toy.num_fbank_frames;
  options.model.num_mel_bins = toy.num_mel_bins;
  options.model.image_size = toy.image_size;
  options.model.embed_dim = toy.embed_dim;
  options.model.num_heads = toy.num_heads;
  options.model.decoder_embed_dim = toy.decoder_embed_dim;
  options.model.decoder_num_heads = toy.decoder_num_heads;
  options.data = toy_options().data;
  options.loader.batch_size = 4;
  options.loader.num_workers = 1;
  if (options.objective.contrastive.contrastive_batch > 0)
    options.objective.contrastive.contrastive_batch = 2;
  options.log_interval_steps = 1;
  options.epochs = 2;
  return options;
}

class EveryRecipe : public ::testing::TestWithParam<Recipe> {};

TEST_P(EveryRecipe, IsWhatTheAuthorsTrainedWith) {
  const Recipe& recipe = GetParam();
  const PretrainOptions options = read_recipe(recipe.name);
  ASSERT_NO_THROW(options.validate());
  EXPECT_EQ(options.epochs, recipe.epochs);
  EXPECT_EQ(options.schedule.lr, recipe.lr);
  EXPECT_EQ(options.schedule.lr_schedule, LrSchedule::step_decay);
  EXPECT_EQ(options.schedule.decay_start, 10);
  EXPECT_EQ(options.schedule.decay_step, 5);
  EXPECT_EQ(options.schedule.decay_factor, 0.5);
  EXPECT_EQ(options.loader.batch_size, recipe.batch_size);
  EXPECT_EQ(options.objective.contrastive.contrastive_batch, recipe.contrastive_batch);
  EXPECT_EQ(options.mask.mask_ratio_audio, 0.75);
  EXPECT_EQ(options.mask.mask_ratio_video, 0.75);
  EXPECT_TRUE(options.view.noise && options.view.roll);
}

TEST_P(EveryRecipe, BuildsANetworkOfTheExpectedSize) {
  CavMae model(read_recipe(GetParam().name).model);
  EXPECT_EQ(std::llround(count_millions(model, ValueCount::all) * 1e6), GetParam().parameters);
}

TEST_P(EveryRecipe, LearnsAtToySize) {
  const Recipe& recipe = GetParam();
  const PretrainOptions options = toy_sized(read_recipe(recipe.name));
  const ToyRun run;
  const RunResult result = run_toy(options, run.paths("run"));
  EXPECT_EQ(result.steps, 4);
  ASSERT_TRUE(result.validation);
  EXPECT_TRUE(std::isfinite(result.validation->losses.values.at("loss")));
  EXPECT_EQ(result.validation->retrieval.has_value(), options.model.modalities == Modalities::both);
  const Json first = read_metrics(run / "run").front();
  EXPECT_EQ(first.contains("loss_audio"), recipe.reconstructs && options.model.has_audio());
  EXPECT_EQ(first.contains("loss_video"), recipe.reconstructs && options.model.has_video());
  EXPECT_EQ(first.contains("loss_contrastive"), recipe.contrasts);
  CavMae before = make_model(options);
  CavMae after = load_pretrained(result.last_checkpoint).network();
  const auto start = before->named_parameters();
  int64_t moved = 0;
  for (const auto& item : after->named_parameters()) {
    ASSERT_TRUE(item.value().isfinite().all().item<bool>()) << item.key();
    if (!item.value().equal(start[item.key()])) ++moved;
  }
  EXPECT_GT(moved, static_cast<int64_t>(start.size()) / 4);
}

INSTANTIATE_TEST_SUITE_P(Recipes, EveryRecipe, ::testing::ValuesIn(recipes()), [](const auto& chosen) {
  std::string name;
  for (const char c : chosen.param.name) name += c == '-' ? "_" : c == '+' ? "plus" : std::string(1, c);
  return name;
});

// ---- CAV-MAE Sync and TG-DP

// The structure as it is, with segments of half a toy clip.
PretrainOptions toy_sized_successor(const std::string& name) {
  PretrainOptions options = toy_sized(read_recipe(name));
  options.model.audio_window_frames =
      options.model.num_fbank_frames / options.model.patch_size / 2 * options.model.patch_size;
  options.model.registers = 2;
  options.data.alignment = Alignment::picture;
  options.data.num_frames = 4;
  options.schedule.warmup_share = 0;
  options.schedule.warmup_steps = 1;
  return options;
}

TEST(Recipes, SuccessorsAreWhatTheirAuthorsBuilt) {
  for (const char* name : {"cav-mae-sync", "cav-mae-tgdp"}) {
    const PretrainOptions options = read_recipe(name);
    ASSERT_NO_THROW(options.validate());
    CavMae model(options.model);
    EXPECT_EQ(model->named_parameters().size(), 650U);
    EXPECT_EQ(std::llround(count_millions(model, ValueCount::all) * 1e6), 190'660'864);
    EXPECT_EQ(options.data.num_frames, 16);
    EXPECT_EQ(options.model.input_frames(), 416);
    EXPECT_EQ(options.loader.batch_size, 512);
    EXPECT_EQ(options.objective.contrastive_weight, 0.1);
    EXPECT_EQ(options.epochs, 25);
    EXPECT_EQ(options.model.audio_window_frames, 416);
    EXPECT_EQ(options.model.registers, 8);
    EXPECT_EQ(options.data.alignment, Alignment::picture);
    EXPECT_FALSE(options.view.noise || options.view.roll);
    EXPECT_EQ(options.schedule.lr, 2e-4);
    EXPECT_EQ(options.schedule.lr_schedule, LrSchedule::cosine);
    EXPECT_EQ(options.schedule.min_lr_ratio, 0.1);
    EXPECT_EQ(warmup_of(options.schedule, 86'500), 8650) << "a tenth, of AudioSet-2M in batches of 512";
    EXPECT_EQ(options.mask.mask_ratio_audio, 0.75);
    EXPECT_EQ(options.mask.mask_ratio_video, 0.75);
  }
  const PretrainOptions sync = read_recipe("cav-mae-sync"), tgdp = read_recipe("cav-mae-tgdp");
  EXPECT_EQ(sync.objective.contrastive.contrastive_batch, 128) << "what each of four devices holds";
  EXPECT_FALSE(sync.objective.contrastive.bidirectional);
  EXPECT_FALSE(sync.objective.contrastive_mask_ratio);
  EXPECT_FALSE(sync.teacher.wanted());
  EXPECT_EQ(tgdp.objective.contrastive.contrastive_batch, 0);
  EXPECT_TRUE(tgdp.objective.contrastive.bidirectional);
  EXPECT_EQ(tgdp.objective.contrastive_mask_ratio, 0.5);
  EXPECT_EQ(tgdp.teacher.ema_decay, 0.996);
  EXPECT_EQ(tgdp.teacher.distillation_weight, 0.1);
  EXPECT_EQ(tgdp.teacher.ranking, Ranking::sampled);
  EXPECT_EQ(tgdp.teacher.ranking_temperature, 1.0);
  EXPECT_FALSE(tgdp.teacher.ranking_from_step) << "the end of the warm-up";
  EXPECT_NO_THROW(read_recipe("tiny-sync").validate());
}

TEST(Recipes, SuccessorsLearnAtToySize) {
  for (const char* name : {"cav-mae-sync", "cav-mae-tgdp", "tiny-sync"}) {
    const PretrainOptions options = toy_sized_successor(name);
    const ToyRun run;
    const RunResult result = run_toy(options, run.paths("run"));
    EXPECT_EQ(result.steps, 4) << name;
    ASSERT_TRUE(result.validation) << name;
    EXPECT_TRUE(std::isfinite(result.validation->losses.values.at("loss"))) << name;
    EXPECT_EQ(read_metrics(run / "run").front().contains("loss_distillation"), options.teacher.wanted());
    const Pretrained after = load_pretrained(result.last_checkpoint);
    EXPECT_EQ(option_to_json(after.network()->config()), option_to_json(options.model)) << name;
    EXPECT_EQ(after.spec.alignment, Alignment::picture) << name;
    CavMae before = make_model(options);
    const auto start = before->named_parameters();
    const auto parameters = after.network()->named_parameters();
    for (const char* token : {"cls_token_a", "cls_token_v", "register_tokens"})
      EXPECT_FALSE(parameters[token].equal(start[token])) << name << " " << token;
  }
}

TEST(Recipes, EveryPretrainingFileIsListedAbove) {
  std::vector<std::string> listed = {"tiny", "cav-mae-sync", "cav-mae-tgdp", "tiny-sync"};
  for (const Recipe& recipe : recipes()) listed.push_back(recipe.name);
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(config_file("x").parent_path()))
    if (const std::string name = entry.path().stem().string(); !name.starts_with("finetune"))
      found.push_back(name);
  EXPECT_THAT(found, ::testing::UnorderedElementsAreArray(listed));
  EXPECT_NO_THROW(read_recipe("tiny").validate());
}

}  // namespace
}  // namespace cavmae
