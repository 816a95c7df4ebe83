// Runs of several ranks end as those of one do.
#include <gmock/gmock.h>

#include "cavmae/core/error.h"
#include "cavmae/core/text.h"
#include "cavmae/data/pack.h"
#include "cavmae/data/read_clips.h"
#include "cavmae/train/rank_checks.h"

#include "tests/support/thread_world.h"
#include "tests/support/told_world.h"
#include "tests/support/trained.h"
#include "tests/train/differences.h"
#include "tests/train/same_end.h"
#include "tests/train/toy_finetune.h"

namespace cavmae::rank_runs_test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_support::run_ranks;
using testing_support::without_key_bias;

constexpr int64_t kBatchClips = 8;

// Twenty clips, so that two batches of eight fill an epoch and four clips are left out.
class RankRuns : public ::testing::Test {
 protected:
  static PretrainOptions options() {
    PretrainOptions options = toy_options();
    // Of four patches one is kept, and attention to one token has gradients of rounding alone.
    options.model.image_size = 64;
    options.epochs = 6;
    options.loader.batch_size = kBatchClips;
    return options;
  }
  RunPaths paths(const std::string& name, RunStart start = RunStart::fresh) const {
    return {.data = {train_}, .val = {val_}, .out = folder_ / name, .cache = {}, .start = start};
  }
  fs::path operator/(const std::string& name) const { return folder_ / name; }

  // Stops after `stop` steps where that is not 0; the last rank alone is asked to.
  void run(const PretrainOptions& options, const RunPaths& paths, int64_t ranks, int64_t stop = 0) const {
    run_ranks(ranks, [&](World& world) {
      int64_t done = 0;
      const RunHooks hooks = silent([&](int64_t step) { done = step; },
                                    [&] { return stop > 0 && world.rank() == ranks - 1 && done == stop; });
      const RunResult result = pretrain(options, paths, hooks, null_log(), world);
      EXPECT_EQ(result.interrupted, stop > 0);
      EXPECT_TRUE(stop == 0 || result.steps == stop) << result.steps;
    });
  }

  TemporaryFolder folder_;
  fs::path train_ = make_toy_clips(folder_ / "train", 20, 1), val_ = make_toy_clips(folder_ / "val", 10, 2);
};

// Numbers of a record or a file, at any depth, but for times.
void expect_near_numbers(const Json& got, const Json& wanted, const std::string& where) {
  if (wanted.is_object()) {
    ASSERT_TRUE(got.is_object()) << where;
    for (const auto& [name, value] : wanted.items())
      if (!is_of_time(name) && name != "checkpoint")
        expect_near_numbers(got.value(name, Json()), value, where + "/" + name);
  } else if (wanted.is_array()) {
    ASSERT_EQ(got.size(), wanted.size()) << where;
    for (size_t i = 0; i < wanted.size(); ++i)
      expect_near_numbers(got[i], wanted[i], where + "/" + std::to_string(i));
  } else if (wanted.is_number_float()) {
    ASSERT_TRUE(got.is_number()) << where;
    const auto number = wanted.get<double>();
    EXPECT_NEAR(got.get<double>(), number, 1e-4 * std::max(1e-3, std::abs(number))) << where;
  } else {
    EXPECT_EQ(got, wanted) << where;
  }
}

void expect_near_model(const fs::path& got, const fs::path& wanted, decltype(difference)* measure) {
  const TensorFile x = read_safetensors(got), y = read_safetensors(wanted);
  ASSERT_EQ(x.tensors.size(), y.tensors.size());
  for (const auto& [key, tensor] : y.tensors)
    EXPECT_LT(measure(without_key_bias(key, x.at(key)), without_key_bias(key, tensor)), 1e-4) << key;
}

// Losses, validations and parameters, those of the averaged model and its evaluation where the run has them;
// the state of the generator, from which the next masks come, bit for bit.
void expect_near_end(const fs::path& got, const fs::path& wanted,
                     decltype(difference)* measure = difference) {
  const auto a = read_metrics(got), b = read_metrics(wanted);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) expect_near_numbers(a[i], b[i], "record " + std::to_string(i));
  expect_near_model(got / "checkpoints/last/model.safetensors", wanted / "checkpoints/last/model.safetensors",
                    measure);
  expect_same_tensors(got / "checkpoints/last/generator.safetensors",
                      wanted / "checkpoints/last/generator.safetensors");
  for (const fs::path file : {"checkpoints/averaged/model.safetensors", "evaluation.json"}) {
    if (!fs::exists(wanted / file)) continue;
    ASSERT_TRUE(fs::exists(got / file)) << file;
    if (file.extension() == ".json")
      expect_near_numbers(read_json(got / file), read_json(wanted / file), file.string());
    else
      expect_near_model(got / file, wanted / file, measure);
  }
}

TEST_F(RankRuns, TwelveStepsEndWithTheParametersOfOneRank) {
  PretrainOptions plain = options(), accumulated = options(), groups = options();
  accumulated.gradient_accumulation = 2;  // five batches of four an epoch: the last step of one has one
  accumulated.loader.batch_size = 4;
  accumulated.epochs = 4;
  groups.objective.contrastive.contrastive_batch = 2;
  const std::map<std::string, PretrainOptions> cases = {
      {"plain", plain}, {"accumulated", accumulated}, {"groups", groups}};
  for (const auto& [name, options] : cases) {
    run(options, paths(name), 1);
    EXPECT_EQ(read_metrics(*this / name).back().at("step"), 12) << name;
    for (const int64_t ranks : {2, 4}) {
      const std::string of_ranks = name + std::to_string(ranks);
      run(options, paths(of_ranks), ranks);
      expect_near_end(*this / of_ranks, *this / name);
    }
  }
}

TEST_F(RankRuns, ClipsThatCannotBeReadChangeNothingOfThat) {
  for (const char* name : {"train/clip3.wav", "train/clip4.wav", "val/clip1.wav"})
    write_file(folder_ / name, "no sound");
  PretrainOptions options = RankRuns::options();
  options.loader.max_bad_ratio = 0.5;
  run(options, paths("one"), 1);
  for (const int64_t ranks : {2, 4}) {
    const std::string of_ranks = "of" + std::to_string(ranks);
    run(options, paths(of_ranks), ranks);
    expect_near_end(*this / of_ranks, *this / "one");
  }
}

// Four of twenty; a rank of four may hold more than its fifth of them.
TEST_F(RankRuns, TheLimitOfClipsThatCannotBeReadIsThatOfAllRanks) {
  for (const char* name : {"clip3", "clip4", "clip9", "clip15"})
    write_file(folder_ / ("train/" + std::string(name) + ".wav"), "no sound");
  PretrainOptions options = RankRuns::options();
  options.loader.max_bad_ratio = 0.2;
  run(options, paths("one"), 1);
  run(options, paths("of4"), 4);
  expect_near_end(*this / "of4", *this / "one");
  options.loader.max_bad_ratio = 0.1;
  const auto first_line = [](const std::string& text) { return text.substr(0, text.find('\n')); };
  const std::string alone = message_from<DataError>(
      [&] { pretrain(options, paths("limited"), silent(), null_log(), World::alone()); });
  EXPECT_THAT(alone, HasSubstr("more than max_bad_ratio 0.1 allows"));
  std::vector<std::string> messages(4);
  run_ranks(4, [&](World& world) {
    messages[static_cast<size_t>(world.rank())] =
        message_from<DataError>([&] { pretrain(options, paths("limited4"), silent(), null_log(), world); });
  });
  for (const std::string& message : messages) {
    EXPECT_EQ(first_line(message), first_line(alone));
    EXPECT_EQ(message, messages[0]);
  }
}

// As many ranks end bit for bit as on the files, and several as one.
TEST_F(RankRuns, OnShardsLearnWhatTheyLearnFromFiles) {
  const auto log = null_log();
  RunPaths on_shards = paths("of2_on_shards");
  for (auto* data : {&on_shards.data, &on_shards.val}) {
    const fs::path list = data->front(),
                   shards = folder_ / ("shards_of_" + list.parent_path().filename().string());
    pack_clips(read_clip_sources({list}, *log), shards, {.shard_bytes = 200'000, .show_progress = false},
               log);
    *data = {shards};
  }
  EXPECT_TRUE(fs::exists(on_shards.data.front() / "shard-000001.tar")) << "there are several";
  run(options(), paths("one"), 1);
  run(options(), paths("of2"), 2);
  run(options(), on_shards, 2);
  expect_same_end(*this / "of2_on_shards", *this / "of2");
  expect_near_end(*this / "of2_on_shards", *this / "one");
}

TEST_F(RankRuns, ATeacherRanksTheSamePatchesOnAnyNumberOfRanks) {
  write_file(folder_ / "train/clip3.wav", "no sound");
  PretrainOptions options = RankRuns::options();
  options.model.global_tokens = true;
  options.model.registers = 1;
  options.objective.contrastive_mask_ratio = 0.5;
  options.teacher.ema_decay = 0.9;
  options.teacher.ranking_from_step = 4;
  run(options, paths("one"), 1);
  for (const int64_t ranks : {2, 8}) {  // of eight ranks one has no clip of a batch
    const std::string of_ranks = "of" + std::to_string(ranks);
    run(options, paths(of_ranks), ranks);
    expect_near_end(*this / of_ranks, *this / "one", difference_of_norms);
    const TensorFile got = read_safetensors(*this / of_ranks / "checkpoints/last/task.safetensors"),
                     wanted = read_safetensors(*this / "one/checkpoints/last/task.safetensors");
    for (const auto& [key, tensor] : wanted.tensors)
      EXPECT_LT(difference_of_norms(without_key_bias(key, got.at(key)), without_key_bias(key, tensor)), 1e-4)
          << key;
  }
}

TEST_F(RankRuns, ResumeOnAnyNumberOfRanks) {
  run(options(), paths("whole"), 1);
  run(options(), paths("stopped"), 4, 5);
  for (const int64_t ranks : {1, 2, 3}) {
    const std::string name = "resumed" + std::to_string(ranks);
    fs::copy(folder_ / "stopped", folder_ / name,
             fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    run(options(), paths(name, RunStart::resume), ranks);
    expect_near_end(*this / name, *this / "whole");
  }
  run(options(), paths("whole4"), 4);
  run(options(), paths("stopped", RunStart::resume), 4);
  expect_same_end(*this / "stopped", *this / "whole4");
}

TEST_F(RankRuns, WhatDiffersBetweenRanksIsNamedAtTheStart) {
  const auto message = [&](const std::function<void(World&, PretrainOptions&, RunPaths&)>& change) {
    std::string text;
    run_ranks(2, [&](World& world) {
      PretrainOptions own = options();
      RunPaths own_paths = paths("differs");
      change(world, own, own_paths);
      const std::string told =
          message_from<ConfigError>([&] { pretrain(own, own_paths, silent(), null_log(), world); });
      if (world.rank() == 0) text = told;
    });
    EXPECT_FALSE(fs::exists(*this / "differs"));
    return text;
  };
  EXPECT_THAT(message([](World& world, PretrainOptions& o, RunPaths&) {
                if (world.rank() == 1) o.schedule.lr = 0.5;
              }),
              HasSubstr("lr is 0.001 on rank 0, 0.5 on rank 1"));
  EXPECT_THAT(message([&](World& world, PretrainOptions&, RunPaths& p) {
                if (world.rank() == 1) p.data = {make_toy_clips(folder_ / "other", 12, 9)};
              }),
              AllOf(HasSubstr("rank 0 learns from 20 clips, rank 1 learns from 12"), HasSubstr("--data")));
  EXPECT_THAT(message([](World&, PretrainOptions& o, RunPaths&) { o.loader.batch_size = 1; }),
              HasSubstr("a batch of 1 clips cannot be shared by 2 ranks"));
  EXPECT_THAT(
      message([](World&, PretrainOptions& o, RunPaths&) { o.objective.contrastive.contrastive_batch = 3; }),
      HasSubstr("straddle ranks of 4 clips"));
}

// Shards are copied and lists read before, by each rank at its own speed.
TEST(Ranks, MayComeToTheBeginningOfARunLate) {
  run_ranks(2, [](World& world) {
    testing_support::ToldWorld told(world);
    const Json config = Json::object();
    const DataFingerprint data;
    check_ranks_agree(told, {.config = config, .data = data, .batch_size = 2});
    ASSERT_FALSE(told.calls().empty());
    EXPECT_EQ(told.calls().front(), "wait_for_all");
  });
}

TEST(RanksThatFineTune, EndWithTheParametersOfOne) {
  const ToyFinetune toy;
  FinetuneOptions options = toy.options();
  options.epochs = 4;
  options.balanced_sampling = true;
  options.targets.mixup = 0.5;
  options.targets.label_smoothing = 0.1;
  run_finetune(options, toy.paths("one"));
  EXPECT_EQ(read_metrics(toy / "one").back().at("step"), 12);
  for (const int64_t ranks : {2, 4}) {
    const std::string name = "of" + std::to_string(ranks);
    run_ranks(ranks, [&](World& world) { finetune(options, toy.paths(name), silent(), null_log(), world); });
    expect_near_end(toy / name, toy / "one");
  }
  for (const char* file : {"one/checkpoints/averaged/model.safetensors", "one/evaluation.json"})
    EXPECT_TRUE(fs::exists(toy / file)) << "which were compared";
}

}  // namespace
}  // namespace cavmae::rank_runs_test
