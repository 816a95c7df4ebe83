// Runs that begin from another model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/models/pretrained.h"
#include "cavmae/train/setup.h"

#include "tests/train/toy_run.h"

namespace cavmae {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// Too small a learning rate to change any parameter.
PretrainOptions frozen(const std::filesystem::path& init) {
  PretrainOptions options = toy_options();
  options.init = init;
  options.schedule.lr = 1e-30;
  options.epochs = 1;
  return options;
}

TEST(Init, ARunBeginsFromTheModelAndTellsWhatItTook) {
  const ToyRun toy;
  const auto first = run_toy(toy_options(), toy.paths("first"));
  const auto second = run_toy(frozen(first.last_checkpoint), toy.paths("second"));
  CavMae before = load_pretrained(first.last_checkpoint).network(),
         after = load_pretrained(second.last_checkpoint).network();
  for (const auto& item : after->named_parameters())
    EXPECT_TRUE(item.value().equal(before->named_parameters()[item.key()])) << item.key();
  EXPECT_THAT(read_text(toy / "second" / "run.log"), HasSubstr("parameters taken"));
  EXPECT_EQ(read_json(toy / "second" / "config.json")["init"], first.last_checkpoint.string());
}

TEST(Init, AnotherSystemTakesWhatItSharesAndKeepsItsOwnBeginningElsewhere) {
  const ToyRun toy;
  const auto first = run_toy(toy_options(), toy.paths("first"));
  PretrainOptions options = frozen(first.last_checkpoint);
  options.model.decoder_depth = 2;
  const auto second = run_toy(options, toy.paths("second"));
  CavMae fresh = make_model(options), after = load_pretrained(second.last_checkpoint).network();
  const auto initial = fresh->named_parameters();
  EXPECT_TRUE(after->named_parameters()["decoder_blocks.1.mlp.fc1.weight"].equal(
      initial["decoder_blocks.1.mlp.fc1.weight"]));
  EXPECT_FALSE(after->named_parameters()["decoder_blocks.0.mlp.fc1.weight"].equal(
      initial["decoder_blocks.0.mlp.fc1.weight"]));
  EXPECT_THAT(read_text(toy / "second" / "run.log"),
              HasSubstr("left at their initial values: decoder_blocks"));
}

TEST(Init, AModelOfOtherInputsIsRefusedBeforeAnythingIsWrittenUnlessItsPositionsAreResized) {
  const ToyRun toy;
  const auto first = run_toy(toy_options(), toy.paths("first"));
  PretrainOptions options = frozen(first.last_checkpoint);
  options.model.num_fbank_frames = 32;
  options.model.image_size = 48;
  options.data.window_seconds = 0.3;
  EXPECT_THAT(message_from<CheckpointError>([&] { run_toy(options, toy.paths("second")); }),
              AllOf(HasSubstr("'pos_embed_a'"), HasSubstr("--resize-positions")));
  EXPECT_FALSE(std::filesystem::exists(toy / "second"));
  options.resize_positions.fit = PositionFit::interpolate;
  EXPECT_EQ(run_toy(options, toy.paths("second")).steps, 5);
  EXPECT_THAT(read_text(toy / "second" / "run.log"),
              HasSubstr("fitted to this network's grids: pos_embed_a"));
}

TEST(Init, AResumedRunGoesOnFromItsOwnCheckpoint) {
  const ToyRun toy;
  const auto first = run_toy(toy_options(), toy.paths("first"));
  PretrainOptions options = toy_options();
  options.init = first.last_checkpoint;
  const auto whole = run_toy(options, toy.paths("whole"));
  options.checkpoint.checkpoint_interval_steps = 1;
  const auto fail = [](int64_t step) {
    if (step == 7) throw Error("pulled the plug");
  };
  EXPECT_THROW(run_toy(options, toy.paths("stopped"), fail), Error);
  const auto resumed = run_toy(options, toy.paths("stopped", RunStart::resume));
  EXPECT_EQ(read_text(resumed.last_checkpoint / "model.safetensors"),
            read_text(whole.last_checkpoint / "model.safetensors"));
}

}  // namespace
}  // namespace cavmae
