#include "cavmae/train/trained_with.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/core/options.h"

#include "tests/support/temporary_folder.h"

namespace cavmae {
namespace {

PretrainOptions some_pretraining() {
  PretrainOptions options;
  options.seed = 7;
  options.mask.mask_ratio_audio = 0.5;
  options.objective.normalize_targets = false;
  return options;
}

class TrainedWithTest : public ::testing::Test {
 protected:
  void put(const std::string& name, const Json& value) {
    make_directories((run_ / name).parent_path());
    write_json(run_ / name, value);
  }

  TemporaryFolder run_;
};

TEST_F(TrainedWithTest, ARunACheckpointAndItsFileTellTheSame) {
  const Json options = option_to_json(some_pretraining());
  put("config.json", options);
  put("checkpoints/step-00000002/state.json", {{"config", options}});
  put("checkpoints/averaged/model.safetensors", {});
  for (const char* path : {"", "checkpoints/step-00000002", "checkpoints/step-00000002/model.safetensors",
                           "checkpoints/averaged", "checkpoints/averaged/model.safetensors"}) {
    const TrainedWith trained = training_of(run_ / path);
    ASSERT_TRUE(trained.pretraining) << path;
    EXPECT_FALSE(trained.finetuning);
    EXPECT_EQ(option_to_json(*trained.pretraining), options) << path;
  }
}

// Its program knew no EXIF orientation.
TEST_F(TrainedWithTest, AnOlderRunObeyedNoExif) {
  Json options = option_to_json(some_pretraining());
  EXPECT_TRUE(options["data"]["exif"]) << "a new run does";
  options["data"].erase("exif");
  options["data"].erase("audio_track");
  put("config.json", options);
  const PretrainOptions trained = training_of(run_.path()).pretraining.value();
  EXPECT_FALSE(trained.data.exif);
  EXPECT_EQ(trained.data.audio_track, std::nullopt);
  EXPECT_NO_THROW(check_resumable(options, trained));
  EXPECT_THAT(message_from<ConfigError>([&] { check_resumable(options, some_pretraining()); }),
              testing::HasSubstr("exif"));
}

TEST_F(TrainedWithTest, AFineTuningIsToldApart) {
  put("config.json", option_to_json(FinetuneOptions()));
  const TrainedWith trained = training_of(run_.path());
  EXPECT_TRUE(trained.finetuning);
  EXPECT_FALSE(trained.pretraining);
}

TEST_F(TrainedWithTest, AFileThatStandsAloneTellsNothing) {
  put("model.safetensors", {});
  for (const auto& path : {run_.path(), run_ / "model.safetensors", run_ / "nothing.pth"}) {
    const TrainedWith trained = training_of(path);
    EXPECT_FALSE(trained.pretraining || trained.finetuning) << path;
  }
}

TEST_F(TrainedWithTest, OptionsOfAnotherProgramAreRefusedByName) {
  put("config.json", {{"sed", 7}});
  EXPECT_THAT(message_from<ConfigError>([&] { training_of(run_.path()); }),
              ::testing::AllOf(::testing::HasSubstr("config.json"), ::testing::HasSubstr("sed")));
}

}  // namespace
}  // namespace cavmae
