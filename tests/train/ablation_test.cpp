#include "cavmae/train/ablation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/core/text.h"
#include "cavmae/models/pretrained.h"
#include "cavmae/train/ablation_table.h"

#include "tests/train/toy_run.h"

namespace cavmae {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

AblationPlan plan_over(const std::vector<std::string>& axes) {
  AblationPlan plan;
  for (const std::string& text : axes) plan.axes.push_back(parse_ablation_axis(text));
  plan.options_of = [](const std::string& config) {
    PretrainOptions options = toy_options();
    options.checkpoint.checkpoint_interval_steps = 1;
    if (config == "av-mae") {
      options.model.joint_streams = JointStreams::concat;
      options.objective.contrastive_weight = 0;
    }
    return options;
  };
  return plan;
}

class Ablation : public ::testing::Test {
 protected:
  AblationPlan plan(const std::string& out, const std::vector<std::string>& axes) const {
    AblationPlan plan = plan_over(axes);
    const RunPaths paths = toy_.paths(out);
    plan.data = paths.data;
    plan.val = paths.val;
    plan.out = paths.out;
    return plan;
  }
  // The bytes of the last model of a cell.
  static std::string model_of(const AblationPlan& plan, const std::string& cell) {
    return read_text(plan.out / "cells" / cell / "run" / "checkpoints" / "last" / "model.safetensors");
  }

  const ToyRun toy_;
};

TEST(ParseAblationAxis, TakesAnOptionAndItsValues) {
  const AblationAxis axis = parse_ablation_axis("mask-ratio=0.5,0.75");
  EXPECT_EQ(axis.option, "mask_ratio");
  EXPECT_THAT(axis.values, ElementsAre("0.5", "0.75"));
  for (const char* bad : {"mask_ratio", "=1", "lr=", "lr=1e-3,,1e-4", "lr=1e-3,1e-3"})
    EXPECT_THAT(message_from<ConfigError>([&] { parse_ablation_axis(bad); }), HasSubstr(bad));
}

TEST(Expand, MakesEveryCombinationTheLastAxisChangingFirst) {
  const auto cells = expand(plan_over({"mask_ratio=0.5,0.75", "temperature=0.1,0.2", "init=none"}));
  ASSERT_EQ(cells.size(), 4U);
  EXPECT_EQ(cells[1].name(), "mask_ratio=0.5,temperature=0.2,init=none");
  EXPECT_THAT(cells[2].settings,
              ElementsAre(Pair("mask_ratio", "0.75"), Pair("temperature", "0.1"), Pair("init", "none")));
  EXPECT_EQ(cells[2].options.mask.mask_ratio_audio, 0.75);
  EXPECT_EQ(cells[2].options.mask.mask_ratio_video, 0.75);
  EXPECT_EQ(cells[2].options.objective.contrastive.temperature, 0.1);
  EXPECT_TRUE(cells[2].options.init.empty());
}

TEST(Expand, ConfigIsWhatTheOtherAxesChange) {
  const auto cells = expand(plan_over({"audio_mask_mode=time,frequency", "config=cav-mae,av-mae"}));
  ASSERT_EQ(cells.size(), 4U);
  EXPECT_EQ(cells[0].options.model.joint_streams, JointStreams::separate_and_concat);
  EXPECT_EQ(cells[3].options.model.joint_streams, JointStreams::concat);
  EXPECT_EQ(cells[3].options.mask.audio_mask_mode, AudioMaskMode::frequency);
}

TEST(Expand, WhatCannotBeComparedIsNamed) {
  EXPECT_THAT(message_from<ConfigError>([] { expand(plan_over({"temprature=1"})); }),
              AllOf(HasSubstr("temprature"), HasSubstr("temperature")));
  EXPECT_THAT(message_from<ConfigError>([] { expand(plan_over({"lr=1", "lr=2"})); }), HasSubstr("twice"));
  EXPECT_THAT(message_from<ConfigError>([] { expand(plan_over({"audio_mask_mode=tiem"})); }),
              AllOf(HasSubstr("tiem"), HasSubstr("time")));
  EXPECT_THAT(message_from<ConfigError>([] { expand(plan_over({"mask_ratio=0.5,1.5"})); }),
              AllOf(HasSubstr("cell mask_ratio=1.5"), HasSubstr("mask_ratio_audio is 1.5")));
  EXPECT_THAT(message_from<ConfigError>([] { expand(AblationPlan{}); }), HasSubstr("--over"));
}

TEST_F(Ablation, MeasuresEveryCellAndWritesItsTable) {
  const AblationPlan grid = plan("grid", {"config=cav-mae,av-mae", "mask_ratio=0.5,0.75"});
  const AblationResult result = run_ablation(grid, silent(), null_log());
  EXPECT_FALSE(result.interrupted);
  ASSERT_EQ(result.rows.size(), 4U);
  EXPECT_TRUE(result.rows[0].results.contains("loss_contrastive"));
  EXPECT_FALSE(result.rows[2].results.contains("loss_contrastive"));
  EXPECT_EQ(result.rows[3].results["clips"], 4);
  const std::string table = read_text(grid.out / "table.md");
  EXPECT_EQ(table, ablation_table(result.rows));
  EXPECT_THAT(table,
              AllOf(HasSubstr("| config | mask_ratio | audio loss |"), HasSubstr("| av-mae | 0.75 |")));
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), 6);
  const Json json = read_json(grid.out / "table.json");
  EXPECT_EQ(json[1]["settings"]["mask_ratio"], "0.75");
  EXPECT_EQ(json[1]["results"], result.rows[1].results);
}

TEST(AblationTable, HasAColumnForWhatAnyCellMeasured) {
  const auto row = [](const std::string& value, const Json& results) {
    return AblationRow{.cell = {.settings = {{"config", value}}, .options = {}}, .results = results};
  };
  const std::string table = ablation_table(
      {row("av", {{"loss", 3}, {"loss_audio", 0.5}, {"accuracy", 0.25}, {"probe_map", nullptr}}),
       row("uni",
           {{"loss", 2}, {"loss_audio", 0.4}, {"loss_uniformity", 1.5}, {"step", 7}, {"probe_top1", 1}})});
  EXPECT_EQ(table,
            "| config | audio loss | uniformity loss | accuracy | linear probe mAP |\n"
            "| --- | ---: | ---: | ---: | ---: |\n"
            "| av | 0.5 | - | 25.0 % | - |\n"
            "| uni | 0.4 | 1.5 | - | - |\n");
}

TEST_F(Ablation, FinishedCellsArePassedOverAndNewOnesAdded) {
  run_ablation(plan("grid", {"temperature=0.1"}), silent(), null_log());
  int64_t steps = 0;
  const AblationPlan larger = plan("grid", {"temperature=0.1,0.2"});
  const AblationResult result = run_ablation(larger, silent([&](int64_t) { ++steps; }), null_log());
  EXPECT_EQ(result.rows.size(), 2U);
  EXPECT_EQ(steps, 10) << "one cell of two epochs with five batches";
}

TEST_F(Ablation, AFinishedCellOfOtherOptionsIsRefused) {
  run_ablation(plan("grid", {"temperature=0.1"}), silent(), null_log());
  AblationPlan other = plan("grid", {"temperature=0.1"});
  other.options_of = [](const std::string&) {
    PretrainOptions options = toy_options();
    options.schedule.lr = 5e-4;
    return options;
  };
  EXPECT_THAT(message_from<ConfigError>([&] { run_ablation(other, silent(), null_log()); }),
              AllOf(HasSubstr("result.json"), HasSubstr("other options")));
}

TEST_F(Ablation, ACellThatWasStoppedGoesOnToTheSameResult) {
  const AblationPlan whole = plan("whole", {"temperature=0.1,0.2"}),
                     stopped = plan("stopped", {"temperature=0.1,0.2"});
  const AblationResult expected = run_ablation(whole, silent(), null_log());
  int64_t steps = 0;
  const auto fail = [&](int64_t) {
    if (++steps == 17) throw Error("pulled the plug");
  };
  EXPECT_THROW(run_ablation(stopped, silent(fail), null_log()), Error);
  EXPECT_FALSE(std::filesystem::exists(stopped.out / "cells" / "temperature=0.2" / "result.json"));
  const AblationResult result = run_ablation(stopped, silent([&](int64_t) { ++steps; }), null_log());
  EXPECT_LT(steps, 17 + 10) << "the first cell was not trained again, the second not from its beginning";
  for (const char* cell : {"temperature=0.1", "temperature=0.2"})
    EXPECT_EQ(model_of(stopped, cell), model_of(whole, cell)) << cell;
  for (const char* figure : {"loss", "accuracy", "audio_to_video_r1"})
    EXPECT_EQ(result.rows[1].results[figure], expected.rows[1].results[figure]) << figure;
}

TEST_F(Ablation, LabelledClipsGetALinearProbe) {
  AblationPlan grid = plan("grid", {"mask_ratio=0.5,0.75"});
  for (auto* paths : {&grid.data, &grid.val}) {
    const std::filesystem::path labelled = paths->front().parent_path() / "labelled.jsonl";
    std::string manifest;
    int64_t i = 0;
    for (const std::string& line : split(read_text(paths->front()), '\n')) {
      if (line.empty()) continue;
      Json clip = parse_json(line, "clips.jsonl");
      clip["labels"] = Json::array({i++ % 2 == 0 ? "even" : "odd"});
      manifest += clip.dump() + "\n";
    }
    write_file(labelled, manifest);
    *paths = {labelled};
  }
  const AblationResult result = run_ablation(grid, silent(), null_log());
  ASSERT_EQ(result.rows.size(), 2U);
  for (const AblationRow& row : result.rows) {
    EXPECT_GT(row.results["probe_map"].get<double>(), 0.0);
    EXPECT_LE(row.results["probe_map"].get<double>(), 1.0);
    // The encoders are those of the pretrained model.
    const auto cell = grid.out / "cells" / row.cell.name();
    const TensorFile probe = read_safetensors(cell / "probe/checkpoints/last/model.safetensors");
    EXPECT_TRUE(probe.at("blocks_u.0.mlp.fc1.weight")
                    .equal(load_pretrained(cell / "run/checkpoints/last")
                               .network()
                               ->named_parameters()["blocks_u.0.mlp.fc1.weight"]));
  }
  EXPECT_THAT(read_text(grid.out / "table.md"), HasSubstr("| linear probe mAP |"));
  EXPECT_EQ(run_ablation(grid, silent(), null_log()).rows[1].results, result.rows[1].results);
}

TEST_F(Ablation, ARunThatWasKilledBeforeItBeganIsMadeAnew) {
  const AblationPlan grid = plan("grid", {"temperature=0.1"});
  const auto run = grid.out / "cells" / "temperature=0.1" / "run";
  make_directories(run);
  write_file(run / "config.json", "{}");
  EXPECT_EQ(run_ablation(grid, silent(), null_log()).rows.size(), 1U);
}

}  // namespace
}  // namespace cavmae
