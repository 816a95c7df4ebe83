#include "cavmae/train/trainer.h"

#include <csignal>
#include <cstdlib>

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"

#include "tests/support/folder_state.h"
#include "tests/support/thread_world.h"
#include "tests/train/same_end.h"
#include "tests/train/toy_run.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class TrainerTest : public ::testing::Test {
 protected:
  // The run that nothing interrupts; made once for all tests.
  static fs::path uninterrupted() {
    static const fs::path run = [] {
      run_toy(toy_options(), toy().paths("uninterrupted"));
      return toy() / "uninterrupted";
    }();
    return run;
  }
  static const ToyRun& toy() {
    static const ToyRun toy;
    return toy;
  }
  void TearDown() override { fs::remove_all(toy() / "run"); }

  RunPaths fresh_ = toy().paths("run");
  RunPaths resume_ = toy().paths("run", RunStart::resume);
  fs::path run_ = toy() / "run";
};

TEST_F(TrainerTest, LeavesAWholeRun) {
  const RunResult result = run_toy(toy_options(), fresh_);
  EXPECT_FALSE(result.interrupted);
  EXPECT_EQ(result.steps, 10);
  EXPECT_EQ(result.samples, 20);
  ASSERT_TRUE(result.validation && result.validation->retrieval);
  EXPECT_EQ(result.validation->retrieval->clips, 4);
  EXPECT_EQ(result.last_checkpoint, run_ / "checkpoints/step-00000010");
  EXPECT_TRUE(fs::exists(run_ / "checkpoints/best/model.safetensors"));
  EXPECT_TRUE(fs::exists(run_ / "run.log"));
  EXPECT_EQ(read_json(run_ / "config.json"), option_to_json(toy_options()));
  EXPECT_EQ(read_run_paths(run_).data, fresh_.data);
  std::vector<std::string> places;
  for (const Json& record : read_metrics(run_))
    places.push_back(record.at("kind").get<std::string>() + std::to_string(record.at("step").get<int64_t>()));
  EXPECT_THAT(places, ::testing::ElementsAre("train2", "train4", "validation5", "train6", "train8", "train10",
                                             "validation10"));
}

TEST_F(TrainerTest, LearnsWhatItSees) {
  PretrainOptions options = toy_options();
  options.epochs = 20;
  options.log_interval_steps = 5;
  options.schedule.lr = 3e-3;
  run_toy(options, fresh_);
  const auto records = read_metrics(run_);
  double first = 0, last = 0;
  for (const Json& record : records) {
    if (record.at("kind") != "train") continue;
    if (first == 0) first = record.at("loss").get<double>();
    last = record.at("loss").get<double>();
  }
  EXPECT_LT(last, 0.9 * first);
}

TEST_F(TrainerTest, AStoppedRunResumesBitForBit) {
  // In the middle of an epoch and of an interval of the log; after the last step of an epoch; and after the
  // first of the next.
  for (const int64_t stop : {3, 5, 6, 7}) {
    const RunResult stopped = run_toy(toy_options(), fresh_, [&](int64_t step) {
      if (step == stop) std::raise(SIGTERM);
    });
    EXPECT_TRUE(stopped.interrupted);
    EXPECT_EQ(stopped.steps, stop);
    const RunResult resumed = run_toy(toy_options(), resume_);
    EXPECT_FALSE(resumed.interrupted);
    EXPECT_EQ(resumed.steps, 10);
    expect_same_end(run_, uninterrupted());
    fs::remove_all(run_);
  }
}

TEST_F(TrainerTest, TheNumberOfWorkersChangesNothing) {
  PretrainOptions options = toy_options();
  options.loader.num_workers = 3;
  run_toy(options, fresh_);
  expect_same_end(run_, uninterrupted());
}

TEST_F(TrainerTest, ResumingAFinishedRunGoesOnWithMoreEpochs) {
  PretrainOptions options = toy_options();
  options.epochs = 1;
  run_toy(options, fresh_);
  EXPECT_EQ(run_toy(options, resume_).steps, 5);
  EXPECT_EQ(run_toy(toy_options(), resume_).steps, 10);
  const auto a = read_safetensors(run_ / "checkpoints/last/model.safetensors");
  for (const auto& [key, tensor] :
       read_safetensors(uninterrupted() / "checkpoints/last/model.safetensors").tensors)
    EXPECT_TRUE(torch::equal(a.at(key), tensor)) << key;
}

TEST_F(TrainerTest, GradientAccumulationResumesBitForBit) {
  PretrainOptions options = toy_options();
  options.gradient_accumulation = 2;  // five batches an epoch: the last step of an epoch has one
  EXPECT_EQ(run_toy(options, toy().paths("accumulated")).steps, 6);
  run_toy(options, fresh_, [](int64_t step) {
    if (step == 4) std::raise(SIGINT);
  });
  run_toy(options, resume_);
  expect_same_end(run_, toy() / "accumulated");
}

// ---- kill -9: the run goes on in another process, which kills itself

PretrainOptions often_saving_options() {
  PretrainOptions options = toy_options();
  options.checkpoint.checkpoint_interval_steps = 3;
  return options;
}

TEST(TrainerChild, DISABLED_RunsUntilKilled) {
  const char* data = std::getenv("CAVMAE_TEST_CHILD_DATA");
  const char* val = std::getenv("CAVMAE_TEST_CHILD_VAL");
  const char* out = std::getenv("CAVMAE_TEST_CHILD_OUT");
  const char* step_text = std::getenv("CAVMAE_TEST_CHILD_STEP");
  ASSERT_TRUE(data && val && out && step_text);
  const int64_t last_step = std::atoll(step_text);
  run_toy(often_saving_options(),
          {.data = {data}, .val = {val}, .out = out, .cache = {}, .start = RunStart::fresh},
          [&](int64_t step) {
            if (step == last_step) std::raise(SIGKILL);
          });
}

int run_child_until(int64_t step, const RunPaths& paths) {
  const fs::path self = fs::read_symlink("/proc/self/exe");
  ::setenv("CAVMAE_TEST_CHILD_DATA", paths.data[0].c_str(), 1);
  ::setenv("CAVMAE_TEST_CHILD_VAL", paths.val[0].c_str(), 1);
  ::setenv("CAVMAE_TEST_CHILD_OUT", paths.out.c_str(), 1);
  ::setenv("CAVMAE_TEST_CHILD_STEP", std::to_string(step).c_str(), 1);
  const pid_t child = ::fork();
  if (child == 0) {
    ::execl(self.c_str(), self.c_str(), "--gtest_filter=TrainerChild.DISABLED_RunsUntilKilled",
            "--gtest_also_run_disabled_tests", "--gtest_brief=1", nullptr);
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

TEST_F(TrainerTest, AKilledRunLosesOnlyTheStepsSinceItsLastCheckpoint) {
  for (const int64_t step : {2, 4}) {  // before the first checkpoint, and after it
    const int status = run_child_until(step, fresh_);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    EXPECT_EQ(fs::exists(run_ / "checkpoints/step-00000003"), step > 3);
    EXPECT_EQ(run_toy(often_saving_options(), resume_).steps, 10);
    expect_same_end(run_, uninterrupted());
    fs::remove_all(run_);
  }
}

TEST_F(TrainerTest, AHalfWrittenCheckpointIsPassedOver) {
  PretrainOptions options = often_saving_options();
  run_toy(options, fresh_, [](int64_t step) {
    if (step == 8) std::raise(SIGTERM);
  });
  fs::resize_file(run_ / "checkpoints/step-00000008/optimizer.safetensors", 500);
  fs::create_directories(run_ / "checkpoints/.tmp-step-00000009-1");
  EXPECT_EQ(run_toy(options, resume_).steps, 10);
  expect_same_end(run_, uninterrupted());
  EXPECT_FALSE(fs::exists(run_ / "checkpoints/.tmp-step-00000009-1"));
}

TEST_F(TrainerTest, ResumingIsExactBesideClipsThatCannotBeRead) {
  RunPaths whole = toy().paths("whole");
  whole.data = {make_toy_clips(toy() / "some_bad", 12, 1)};
  write_file(toy() / "some_bad/clip3.wav", "no sound");
  run_toy(toy_options(), whole);
  RunPaths stopped = fresh_, resumed = resume_;
  stopped.data = resumed.data = whole.data;
  run_toy(toy_options(), stopped, [](int64_t step) {
    if (step == 4) std::raise(SIGTERM);
  });
  run_toy(toy_options(), resumed);
  expect_same_end(run_, whole.out);
}

TEST_F(TrainerTest, Bf16TrainsToo) {
  PretrainOptions options = toy_options();
  options.precision = Precision::bf16;
  EXPECT_EQ(run_toy(options, fresh_).steps, 10);
  const auto wanted = read_metrics(uninterrupted()), got = read_metrics(run_);
  for (size_t i = 0; i < wanted.size(); ++i) {
    const auto loss = wanted[i].at("loss").get<double>();
    EXPECT_NEAR(got[i].at("loss").get<double>(), loss, 0.05 * loss) << "record " << i;
  }
}

// ---- several ranks

TEST_F(TrainerTest, ALossThatIsNotFiniteStopsEveryRank) {
  PretrainOptions options = toy_options();
  options.schedule.lr = 1e25;
  testing_support::run_ranks(2, [&](World& world) {
    EXPECT_THAT(message_from<Error>([&] { pretrain(options, fresh_, silent(), null_log(), world); }),
                HasSubstr("not finite"));
  });
}

// ---- what stops a run

TEST_F(TrainerTest, TwoProcessesDoNotShareARun) {
  run_toy(toy_options(), fresh_, [&](int64_t step) {
    if (step != 3) return;
    EXPECT_THAT(message_from<ConfigError>([&] { const RunLock second(run_); }),
                HasSubstr("another process trains in this folder"));
  });
  EXPECT_NO_THROW(RunLock{run_});
}

// A log and what was written to it.
class Overheard {
 public:
  Overheard() { log_.open(folder_ / "log"); }
  std::shared_ptr<Log> log() const { return log_.log(); }
  std::string text() const { return read_text(folder_ / "log"); }

 private:
  TemporaryFolder folder_;
  FileLog log_{*null_log()};
};

// Another process may save while this one reads; what it saved would then be taken for damaged and removed.
TEST_F(TrainerTest, ARunAtWorkIsNotEvenReadByAnotherProcess) {
  run_toy(often_saving_options(), fresh_, [](int64_t step) {
    if (step == 8) std::raise(SIGTERM);
  });
  fs::resize_file(run_ / "checkpoints/step-00000008/optimizer.safetensors", 500);  // is told when it is read
  const Overheard overheard;
  {
    const RunWriter at_work(resume_, 2, *null_log());
    const auto before = testing_support::state_of(run_);
    EXPECT_THAT(message_from<ConfigError>([&] {
                  pretrain(often_saving_options(), resume_, silent(), overheard.log(), World::alone());
                }),
                HasSubstr("another process trains in this folder"));
    EXPECT_EQ(overheard.text(), "");
    EXPECT_EQ(testing_support::state_of(run_), before);
  }
  pretrain(often_saving_options(), resume_, silent(), overheard.log(), World::alone());
  EXPECT_THAT(overheard.text(), HasSubstr("damaged"));
}

// A recipe of a large set on a small one.
TEST_F(TrainerTest, AWarmUpAsLongAsTheRunIsToldOf) {
  PretrainOptions options = toy_options();
  options.schedule.warmup_steps = 9;
  run_toy(options, fresh_);
  EXPECT_THAT(read_text(run_ / "run.log"), ::testing::Not(HasSubstr("the warm-up takes")));
  fs::remove_all(run_);
  options.schedule.warmup_steps = 10;
  options.model.global_tokens = true;
  options.objective.contrastive_mask_ratio = 0.5;
  options.teacher.ema_decay = 0.9;
  run_toy(options, fresh_);
  EXPECT_THAT(read_text(run_ / "run.log"), AllOf(HasSubstr("the warm-up takes 10 steps, and this run has 10"),
                                                 HasSubstr("the teacher ranks patches from step 10 on")));
}

TEST_F(TrainerTest, WhatIsWrongWithACheckpointStandsInTheRunsLog) {
  run_toy(often_saving_options(), fresh_, [](int64_t step) {
    if (step == 8) std::raise(SIGTERM);
  });
  fs::resize_file(run_ / "checkpoints/step-00000008/optimizer.safetensors", 500);
  PretrainOptions options = often_saving_options();
  options.schedule.lr = 2e-3;
  run_toy(options, resume_);
  EXPECT_THAT(read_text(run_ / "run.log"),
              AllOf(HasSubstr("step-00000008: a damaged checkpoint"), HasSubstr("resuming with")));
}

TEST_F(TrainerTest, AResumptionThatIsRefusedLeavesTheRunAsItIs) {
  run_toy(toy_options(), fresh_, [](int64_t step) {
    if (step == 3) std::raise(SIGTERM);
  });
  const auto before = testing_support::state_of(run_);
  PretrainOptions options = toy_options();
  options.seed = 5;
  EXPECT_THROW(run_toy(options, resume_), ConfigError);
  EXPECT_EQ(testing_support::state_of(run_), before);
}

TEST_F(TrainerTest, ALossThatIsNotFiniteStopsTheRunWithTheStateBeforeIt) {
  PretrainOptions options = toy_options();
  options.schedule.lr = 1e25;
  const std::string message = message_from<Error>([&] { run_toy(options, fresh_); });
  EXPECT_THAT(message,
              AllOf(HasSubstr("step 2: the loss"), HasSubstr("not finite"), HasSubstr("step-00000001"),
                    HasSubstr("--lr"), HasSubstr("--clip-gradient-norm")));
  EXPECT_TRUE(fs::exists(run_ / "checkpoints/last/state.json"));
  EXPECT_THROW(run_toy(options, resume_), Error) << "the same state and step again";
}

TEST_F(TrainerTest, AFullDiskStopsTheRunAndLosesNothing) {
  PretrainOptions options = often_saving_options();
  struct rlimit old_limit = {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const std::string message = message_from<Error>([&] {
    run_toy(options, fresh_, [&](int64_t step) {
      struct rlimit limit = old_limit;
      limit.rlim_cur = 20000;
      if (step == 7) ::setrlimit(RLIMIT_FSIZE, &limit);
    });
  });
  ::setrlimit(RLIMIT_FSIZE, &old_limit);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_THAT(message, AllOf(HasSubstr("step-00000009"), HasSubstr("earlier ones are intact")));
  EXPECT_EQ(run_toy(options, resume_).steps, 10);
  expect_same_end(run_, uninterrupted());
}

TEST_F(TrainerTest, WrongCallsAreToldBeforeAnythingIsWritten) {
  PretrainOptions options = toy_options();
  EXPECT_THAT(message_from<ConfigError>([&] { run_toy(options, resume_); }),
              HasSubstr("holds no run to resume"));
  options.loader.batch_size = 11;
  EXPECT_THAT(message_from<DataError>([&] { run_toy(options, fresh_); }),
              AllOf(HasSubstr("10 clips"), HasSubstr("--batch-size")));
  EXPECT_FALSE(fs::exists(run_));

  options = toy_options();
  options.epochs = 1;
  run_toy(options, fresh_);
  EXPECT_THAT(message_from<ConfigError>([&] { run_toy(options, fresh_); }),
              AllOf(HasSubstr("holds a run already"), HasSubstr("--resume")));
  options.seed = 5;
  EXPECT_THAT(message_from<ConfigError>([&] { run_toy(options, resume_); }),
              HasSubstr("seed: the run has 0, this call 5"));
  options.seed = 0;
  RunPaths other = resume_;
  other.data = {make_toy_clips(toy() / "other", 12, 9)};
  EXPECT_THAT(message_from<DataError>([&] { run_toy(options, other); }),
              HasSubstr("learns from 10 clips, --data gives 12"));

  fs::create_directories(toy() / "full/of");
  EXPECT_THAT(message_from<ConfigError>([&] { run_toy(options, toy().paths("full")); }),
              HasSubstr("no empty folder"));
}

TEST_F(TrainerTest, ClipsThatCannotBeReadAreToldInTheEnd) {
  const fs::path clips = make_toy_clips(toy() / "bad", 12, 1);
  write_file(toy() / "bad/clip3.wav", "no sound");
  RunPaths paths = fresh_;
  paths.data = {clips};
  const RunResult result = run_toy(toy_options(), paths);
  ASSERT_EQ(result.bad_clips.size(), 1u);
  EXPECT_EQ(result.bad_clips[0].id, "clip3");
  EXPECT_THAT(read_text(run_ / "run.log"), HasSubstr("1 clips could not be read"));
}

}  // namespace
}  // namespace cavmae
