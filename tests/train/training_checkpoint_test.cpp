#include "cavmae/train/training_checkpoint.h"

#include <csignal>

#include <gmock/gmock.h>
#include <sys/resource.h>

#include "cavmae/core/error.h"
#include "cavmae/train/optimization_step.h"
#include "cavmae/train/pretraining_task.h"

#include "tests/train/toy_run.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

// A run's folder with a model that takes no steps; only the step's number counts up.
class CheckpointTest : public ::testing::Test {
 protected:
  enum class Validated { no, as_best };

  fs::path save(int64_t step, Validated validated = Validated::no) {
    RunState state;
    state.step = step;
    state.epoch = 3;
    state.next_position = 17;
    state.best_value = 0.1 + 0.2;  // a number that short decimals miss
    state.interval.means = {.clips = 1, .values = {{"loss", 1.0 / 3.0}}};
    if (validated == Validated::as_best) best_step_ = step;
    state.best_step = best_step_;
    return CheckpointFolder(run_.path(), 2)
        .save({.task = step_.task(),
               .optimizer = step_.adam(),
               .generator = step_.generator().get_state(),
               .spec = InputSpec{},
               .config = {{"epochs", 2}},
               .state = state,
               .average = average_});
  }
  std::optional<FoundCheckpoint> find() { return find_latest_checkpoint(run_.path(), *null_log()); }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(run_ / "checkpoints"))
      out.push_back(entry.path().filename());
    std::sort(out.begin(), out.end());
    return out;
  }

  TemporaryFolder run_;
  OptimizationStep step_ = make_step();
  WeightAverage average_;

 private:
  static OptimizationStep make_step() {
    CavMae model(toy_config());
    initialize(model, 3);
    return {std::make_shared<PretrainingTask>(model, ObjectiveOptions{}, MaskOptions{}, World::alone()),
            OptimizerOptions{}, at::detail::createCPUGenerator(5), World::alone()};
  }
  int64_t best_step_ = 0;
};

TEST_F(CheckpointTest, StateIsReadBackExactly) {
  save(5, Validated::as_best);
  const auto found = find();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->state.step, 5);
  EXPECT_EQ(found->state.epoch, 3);
  EXPECT_EQ(found->state.next_position, 17);
  EXPECT_EQ(found->state.best_value, 0.1 + 0.2);
  EXPECT_EQ(found->state.interval.means.values.at("loss"), 1.0 / 3.0);
  EXPECT_EQ(found->config.at("epochs"), 2);
  EXPECT_TRUE(torch::equal(read_safetensors(found->path / "generator.safetensors").at("masks"),
                           step_.generator().get_state()));
}

TEST_F(CheckpointTest, KeepsTheLastOnesAndTheBest) {
  save(1);
  save(2, Validated::as_best);
  for (int64_t step = 3; step <= 6; ++step) save(step);
  EXPECT_THAT(names(),
              ::testing::ElementsAre("best", "last", "step-00000002", "step-00000005", "step-00000006"));
  EXPECT_EQ(fs::read_symlink(run_ / "checkpoints/last"), "step-00000006");
  EXPECT_EQ(fs::read_symlink(run_ / "checkpoints/best"), "step-00000002");
  save(7, Validated::as_best);
  EXPECT_THAT(names(),
              ::testing::ElementsAre("best", "last", "step-00000005", "step-00000006", "step-00000007"));
}

TEST_F(CheckpointTest, ASecondSaveOfAStepReplacesTheFirst) {
  save(1);
  save(1, Validated::as_best);
  EXPECT_THAT(names(), ::testing::ElementsAre("best", "last", "step-00000001"));
  EXPECT_EQ(find()->state.best_step, 1);
}

TEST_F(CheckpointTest, ADamagedOneIsNeverTaken) {
  const auto damages = std::vector<std::function<void(const fs::path&)>>{
      [](const fs::path& p) { fs::remove(p / "state.json"); },
      [](const fs::path& p) { write_file(p / "state.json", "{\"format\": 1, \"sta"); },
      [](const fs::path& p) { write_file(p / "state.json", "[]"); },
      [](const fs::path& p) { fs::remove(p / "optimizer.safetensors"); },
      [](const fs::path& p) { fs::resize_file(p / "model.safetensors", 1000); },
      [](const fs::path& p) {  // one bit
        std::string bytes = read_text(p / "model.safetensors");
        bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 4);
        write_file(p / "model.safetensors", bytes);
      }};
  for (const auto& damage : damages) {
    save(1);
    damage(save(2));
    const auto found = find();
    ASSERT_TRUE(found);
    EXPECT_EQ(found->state.step, 1);
    EXPECT_THROW(verify_checkpoint(run_ / "checkpoints/step-00000002"), CheckpointError);
    fs::remove_all(run_ / "checkpoints");
  }
  EXPECT_FALSE(find());
}

TEST_F(CheckpointTest, DiscardingWhatCameAfterRemovesLeftoversAndSetsTheLinks) {
  save(1, Validated::as_best);
  save(2);
  fs::remove(run_ / "checkpoints/step-00000002/state.json");
  fs::create_directories(run_ / "checkpoints/.tmp-step-00000003-77");
  write_file(run_ / "checkpoints/.tmp-step-00000003-77/model.safetensors", "half");
  fs::remove(run_ / "checkpoints/best");
  CheckpointFolder(run_.path(), 2).discard_after(*find());
  EXPECT_THAT(names(), ::testing::ElementsAre("best", "last", "step-00000001"));
  EXPECT_EQ(fs::read_symlink(run_ / "checkpoints/last"), "step-00000001");
}

TEST_F(CheckpointTest, AFailedWriteLeavesTheEarlierOne) {
  save(1);
  // A limit on the size of files is what a test can have of a full disk: write() fails in the middle.
  struct rlimit old_limit = {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  struct rlimit limit = old_limit;
  limit.rlim_cur = 20000;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  const std::string message = message_from<Error>([&] { save(2); });
  ::setrlimit(RLIMIT_FSIZE, &old_limit);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_THAT(message,
              AllOf(HasSubstr("step-00000002"), HasSubstr("cannot be written"), HasSubstr("--resume")));
  EXPECT_THAT(names(), ::testing::ElementsAre("last", "step-00000001"));
  EXPECT_EQ(find()->state.step, 1);
}

TEST_F(CheckpointTest, TooLittleSpaceIsToldWithTheCure) {
  EXPECT_NO_THROW(check_space({.needed_bytes = 100, .available_bytes = 100, .what = "it"}));
  EXPECT_THAT(
      message_from<Error>([] {
        check_space(
            {.needed_bytes = 2'300'000'000, .available_bytes = 1'100'000'000, .what = "the checkpoint"});
      }),
      HasSubstr("the checkpoint needs 2.3 GB, 1.1 GB are free; free some space or set --keep-checkpoints 1"));
}

TEST_F(CheckpointTest, TheEstimateCoversWhatIsWritten) {
  Batch batch{.audio = torch::randn({2, 64, 32}),
              .video = torch::randn({2, 3, 32, 32}),
              .targets = {},
              .indices = {0, 1}};
  step_.take({batch}, 1e-3);
  uint64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(save(1))) bytes += entry.file_size();
  const auto estimate = static_cast<uint64_t>(checkpoint_bytes(step_.task().model(), step_.adam()));
  EXPECT_LE(bytes, estimate);
  EXPECT_GE(bytes + (2u << 20), estimate);
}

}  // namespace
}  // namespace cavmae
