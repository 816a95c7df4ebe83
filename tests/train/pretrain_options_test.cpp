#include "cavmae/train/pretrain_options.h"

#include <set>

#include <gmock/gmock.h>

#include "cavmae/core/options.h"
#include "cavmae/models/model_input.h"

#include "tests/support/temporary_folder.h"

namespace cavmae {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(PretrainOptions, FlagsHaveDistinctNames) {
  std::set<std::string> names;
  for (const OptionLeaf& leaf : option_leaves(PretrainOptions())) {
    EXPECT_TRUE(names.insert(leaf.name).second) << leaf.name << " is declared twice";
    EXPECT_FALSE(leaf.help.empty()) << leaf.name;
  }
}

TEST(PretrainOptions, SurviveTheirOwnJson) {
  PretrainOptions options;
  options.schedule.lr = 1e-3;
  options.optimizer.clip_gradient_norm = 2.5;
  options.model.embed_dim = 64;
  PretrainOptions read;
  option_from_json(option_to_json(options), read, "test");
  EXPECT_EQ(option_to_json(read), option_to_json(options));
}

TEST(PretrainOptions, DefaultsAreValidAndTheModelGivesTheShapes) {
  PretrainOptions options;
  EXPECT_NO_THROW(options.validate());
  options.model.num_fbank_frames = 64;
  options.model.image_size = 32;
  EXPECT_EQ(input_spec(options.model, options.data).num_fbank_frames, 64);
  EXPECT_EQ(input_spec(options.model, options.data).image_size, 32);
}

TEST(PretrainOptions, EveryBadFieldIsTold) {
  PretrainOptions options;
  options.epochs = 0;
  options.schedule.lr = -1;
  options.optimizer.beta2 = 1;
  options.mask.mask_ratio_audio = 1.5;
  options.objective.contrastive.temperature = 0;
  options.view.frames = FrameChoice::all;
  EXPECT_THAT(message_from<ConfigError>([&] { options.validate(); }),
              AllOf(HasSubstr("epochs is 0"), HasSubstr("lr is -1"), HasSubstr("beta2 is 1"),
                    HasSubstr("mask_ratio_audio"), HasSubstr("temperature"), HasSubstr("frames is 'all'")));
}

TEST(PretrainOptions, TheLoadersBoundsAreTheLoadersOwn) {
  PretrainOptions options;
  options.loader.num_workers = 0;  // the training thread reads
  EXPECT_NO_THROW(options.validate());
  for (const int64_t workers : {-1, 1025}) {
    options.loader.num_workers = workers;
    EXPECT_THROW(options.loader.validate(), ConfigError);
    EXPECT_THROW(options.validate(), ConfigError);
  }
}

TEST(PretrainOptions, AModalityIsNotHiddenWholly) {
  PretrainOptions options;
  options.mask.mask_ratio_video = 1;
  EXPECT_THAT(message_from<ConfigError>([&] { options.validate(); }), HasSubstr("mask ratio of 1"));
}

// What would be computed, or refused later, for nothing.
TEST(PretrainOptions, AnAskedForPartThatHasNoUseIsRefused) {
  const auto refused = [](const PretrainOptions& options) {
    return message_from<ConfigError>([&] { options.validate(); });
  };
  PretrainOptions options;
  options.objective.contrastive_mask_ratio = 0.5;
  EXPECT_NO_THROW(options.validate());
  options.objective.contrastive_weight = 0;
  EXPECT_THAT(refused(options), HasSubstr("contrastive_weight is 0"));
  options.objective.contrastive_weight = 0.1;
  options.model.global_tokens = true;
  options.teacher.ema_decay = 0.99;
  EXPECT_NO_THROW(options.validate());
  options.model.contrastive_pooling = ContrastivePooling::mean;
  EXPECT_THAT(refused(options), HasSubstr("contrastive_pooling is mean"));
  PretrainOptions of_sound;
  of_sound.model.modalities = Modalities::audio;
  of_sound.model.joint_streams = JointStreams::none;
  of_sound.model.joint_depth = 0;
  EXPECT_NO_THROW(of_sound.validate());
  of_sound.objective.contrastive_mask_ratio = 0.5;
  EXPECT_THAT(refused(of_sound), HasSubstr("it takes one modality"));
}

TEST(PretrainOptions, OneOptionSaysHowLongTheWarmUpIs) {
  PretrainOptions options;
  options.schedule.warmup_share = 0.1;
  EXPECT_NO_THROW(options.validate());
  options.schedule.warmup_steps = 10;
  EXPECT_THAT(message_from<ConfigError>([&] { options.validate(); }), HasSubstr("give 0 for the other"));
  options.schedule.warmup_steps = 0;
  options.schedule.warmup_share = 1;
  EXPECT_THAT(message_from<ConfigError>([&] { options.validate(); }), HasSubstr("warmup_share is 1"));
}

TEST(CheckResumable, NamesWhatWouldChangeTheRun) {
  PretrainOptions options;
  const Json saved = option_to_json(options);
  options.loader.num_workers = 7;
  options.epochs = 99;
  options.checkpoint.keep_checkpoints = 5;
  EXPECT_THAT(check_resumable(saved, options), IsEmpty());
  options.schedule.lr = 1e-6;
  EXPECT_THAT(check_resumable(saved, options), ElementsAre("lr: 5e-05, now 1e-06"));
  options.loader.batch_size = 3;
  options.objective.contrastive.temperature = 0.5;
  EXPECT_THAT(message_from<ConfigError>([&] { check_resumable(saved, options); }),
              AllOf(HasSubstr("batch_size: the run has 8, this call 3"), HasSubstr("temperature"),
                    ::testing::Not(HasSubstr("num_workers"))));
}

TEST(CheckResumable, EpochsMatterToACosineScheduleAndToAShareOfWarmUp) {
  for (const bool share : {false, true}) {
    PretrainOptions options;
    options.schedule.lr_schedule = share ? LrSchedule::constant : LrSchedule::cosine;
    options.schedule.warmup_share = share ? 0.1 : 0;
    const Json saved = option_to_json(options);
    options.epochs = 99;
    EXPECT_THAT(message_from<ConfigError>([&] { check_resumable(saved, options); }), HasSubstr("epochs"));
  }
}

}  // namespace
}  // namespace cavmae
