// A step on several ranks computes what one rank computes of the whole batch.
#include <map>

#include <gmock/gmock.h>

#include "cavmae/core/error.h"
#include "cavmae/train/optimization_step.h"

#include "tests/support/rank_processes.h"
#include "tests/support/thread_world.h"
#include "tests/support/trained.h"
#include "tests/train/differences.h"
#include "tests/train/toy_run.h"

namespace cavmae::rank_steps_test {
namespace {

using ::testing::HasSubstr;
using testing_support::on_processes;
using testing_support::run_ranks;

constexpr int64_t kClips = 8;

Batch random_batch(uint64_t seed) {
  const auto generator = at::detail::createCPUGenerator(seed);
  const CavMaeConfig config = toy_config();
  Batch batch;
  batch.audio =
      torch::randn({kClips, config.num_fbank_frames, config.num_mel_bins}, generator, torch::kFloat32);
  batch.video = torch::randn({kClips, 3, config.image_size, config.image_size}, generator, torch::kFloat32);
  batch.indices.resize(kClips);
  return batch;
}

// A rank's part of a batch in which the clips of some rows cannot be read.
Batch part_of(const Batch& whole, const std::vector<int64_t>& bad_rows, const World& world) {
  Batch part;
  part.size = kClips;
  const int64_t first = kClips * world.rank() / world.size(),
                end = kClips * (world.rank() + 1) / world.size();
  for (int64_t row = first; row < end; ++row)
    if (std::ranges::count(bad_rows, row) == 0) part.rows.push_back(row);
  part.indices = part.rows;
  if (part.rows.empty()) return part;
  const torch::Tensor rows = torch::tensor(part.rows, torch::kInt64);
  part.audio = whole.audio.index_select(0, rows);
  part.video = whole.video.index_select(0, rows);
  return part;
}

struct StepCase {
  ObjectiveOptions objective = {};
  std::vector<std::vector<int64_t>> bad_rows = {{}};  // of each batch of the group
  CavMaeConfig model = toy_config();
};

// With global tokens, whose contrastive loss is of what `pooling` says.
CavMaeConfig pooled_by(ContrastivePooling pooling) {
  CavMaeConfig config = toy_config();
  config.global_tokens = true;
  config.contrastive_pooling = pooling;
  return config;
}

struct Learnt {
  MetricValues losses;
  double gradient_norm = 0;
  std::map<std::string, torch::Tensor> gradients;  // times what Adam keeps of them
};

Learnt learn(const StepCase& c, World& world, const ExchangeOptions& exchange = {}) {
  CavMae model(c.model);
  initialize(model, 3);
  OptimizationStep step(std::make_shared<PretrainingTask>(model, c.objective, MaskOptions{}, world),
                        OptimizerOptions{}, at::detail::createCPUGenerator(5), world, exchange);
  std::vector<Batch> group;
  for (size_t i = 0; i < c.bad_rows.size(); ++i)
    group.push_back(part_of(random_batch(i), c.bad_rows[i], world));
  const StepOutcome outcome = step.take(group, 1e-3);
  Learnt learnt{
      .losses = outcome.sums.mean().values, .gradient_norm = outcome.gradient_norm, .gradients = {}};
  for (const auto& [name, tensor] : step.adam().state())
    if (name.ends_with(".exp_avg")) learnt.gradients[name] = tensor;
  return learnt;
}

TEST(Ranks, LossesAndGradientsOfAStepAreThoseOfOneRank) {
  ObjectiveOptions groups, contrastive;
  groups.contrastive.contrastive_batch = 2;
  contrastive.reconstruction_weight = 0;
  contrastive.contrastive_weight = 1;
  for (const StepCase& c :
       {StepCase{}, StepCase{.objective = groups}, StepCase{.objective = contrastive},
        StepCase{.bad_rows = {{}, {1, 2}}}, StepCase{.bad_rows = {{0, 1, 5}}},
        StepCase{.objective = groups, .bad_rows = {{2, 3, 7}, {0}}},
        // Of one rank no clip, which joins as many losses as the others have.
        StepCase{.objective = contrastive,
        .bad_rows = {{0, 1, 2, 3}, {5}},
        .model = pooled_by(ContrastivePooling::both)},
        StepCase{.bad_rows = {{0, 1, 5}}, .model = pooled_by(ContrastivePooling::mean)}}) {
    const Learnt wanted = learn(c, World::alone());
    for (const int64_t ranks : {2, 4}) {
      std::vector<Learnt> all(static_cast<size_t>(ranks));
      run_ranks(ranks, [&](World& world) { all[static_cast<size_t>(world.rank())] = learn(c, world); });
      for (const Learnt& got : all) {
        for (const auto& [key, value] : wanted.losses)
          EXPECT_NEAR(got.losses.at(key), value, 1e-5 * std::abs(value)) << key;
        EXPECT_NEAR(got.gradient_norm, wanted.gradient_norm, 1e-5 * wanted.gradient_norm);
        ASSERT_EQ(got.gradients.size(), wanted.gradients.size())
            << "what the loss does not reach stays as it was";
        double largest = 0;
        for (const auto& [name, gradient] : wanted.gradients)
          largest = std::max(largest, gradient.abs().max().item<double>());
        for (const auto& [name, gradient] : wanted.gradients)
          EXPECT_LT((got.gradients.at(name) - gradient).abs().max().item<double>(), 1e-5 * largest) << name;
        for (const auto& [name, gradient] : all[0].gradients)
          EXPECT_TRUE(torch::equal(got.gradients.at(name), gradient)) << "ranks part: " << name;
      }
    }
  }
}

// Small buckets, so that they begin at different times; with parts that differ, and that are empty where the
// reductions of others begin in their backward passes.
TEST(Ranks, OverlapChangesNoBit) {
  ObjectiveOptions contrastive;
  contrastive.reconstruction_weight = 0;
  contrastive.contrastive_weight = 1;
  for (const StepCase& c :
       {StepCase{}, StepCase{.objective = contrastive}, StepCase{.bad_rows = {{}, {1, 2}}},
        StepCase{.bad_rows = {{}, {0, 1, 2, 3}}}, StepCase{.bad_rows = {{4, 5, 6, 7}, {0}}}}) {
    std::vector<Learnt> together(2), apart(2);
    const auto learn_all = [&](std::vector<Learnt>& all, bool overlap) {
      run_ranks(2, [&](World& world) {
        all[static_cast<size_t>(world.rank())] = learn(c, world, {.overlap = overlap, .bucket_bytes = 8000});
      });
    };
    learn_all(together, true);
    learn_all(apart, false);
    for (const size_t rank : {0, 1}) {
      EXPECT_EQ(together[rank].gradient_norm, apart[rank].gradient_norm);
      ASSERT_EQ(together[rank].gradients.size(), apart[rank].gradients.size());
      for (const auto& [name, gradient] : apart[rank].gradients)
        EXPECT_TRUE(torch::equal(together[rank].gradients.at(name), gradient)) << name;
    }
  }
}

// Each rank has its own clips alone to compare with: the mean over ranks of what one rank makes of its part.
TEST(Ranks, WithNegativesOfTheirOwnTheLossIsThatOfTheParts) {
  StepCase own;
  own.objective.reconstruction_weight = 0;
  own.objective.contrastive_weight = 1;
  StepCase groups = own, all = own;
  own.objective.contrastive.negatives = Negatives::rank;
  groups.objective.contrastive.contrastive_batch = kClips / 2;
  const auto loss_of = [](const Learnt& learnt) { return learnt.losses.at("loss_contrastive"); };
  std::vector<Learnt> of_two(2);
  run_ranks(2, [&](World& world) { of_two[static_cast<size_t>(world.rank())] = learn(own, world); });
  // Two ranks of four clips are two groups of four.
  const Learnt in_groups = learn(groups, World::alone()), together = learn(all, World::alone());
  for (const Learnt& got : of_two) {
    EXPECT_NEAR(loss_of(got), loss_of(in_groups), 1e-5 * loss_of(in_groups));
    EXPECT_NEAR(got.gradient_norm, in_groups.gradient_norm, 1e-5 * in_groups.gradient_norm);
  }
  EXPECT_GT(std::abs(loss_of(of_two[0]) - loss_of(together)), 1e-3)
      << "another number of ranks is another loss";
}

std::string bits_of(const Learnt& learnt) {
  uint64_t hash = stable_hash("");
  for (const auto& [name, gradient] : learnt.gradients) {
    const torch::Tensor values = gradient.contiguous();
    hash = stable_hash({static_cast<const char*>(values.data_ptr()), static_cast<size_t>(values.nbytes())},
                       hash);
  }
  return concat(learnt.gradients.size(), " gradients ", hash, ", norm ", learnt.gradient_norm);
}

TEST(RanksOnGloo, OverlapChangesNoBit) {
  const auto texts = on_processes(3, [](World& world) {
    std::string text;
    for (const StepCase& c : {StepCase{}, StepCase{.bad_rows = {{}, {0, 1}}}}) {  // of one rank every clip
      const auto bits = [&](bool overlap, int64_t bucket_bytes) {
        return bits_of(learn(c, world, {.overlap = overlap, .bucket_bytes = bucket_bytes}));
      };
      const std::string apart = bits(false, 8000);
      text += bits(true, 8000) == apart ? apart + "; " : "another with overlap; ";
    }
    return text;
  });
  if (texts.empty()) return;  // a rank
  EXPECT_THAT(texts[0], HasSubstr(" gradients "));
  EXPECT_EQ(texts[0].find("another"), std::string::npos) << texts[0];
  EXPECT_EQ(texts[1], texts[0]);
  EXPECT_EQ(texts[2], texts[0]);
}

TEST(Ranks, AGroupOfBatchesWithoutAnyClipChangesNothing) {
  const std::vector<int64_t> all_rows = {0, 1, 2, 3, 4, 5, 6, 7};
  const StepCase nothing{.bad_rows = {all_rows}};
  EXPECT_TRUE(learn(nothing, World::alone()).gradients.empty());
  run_ranks(2, [&](World& world) { EXPECT_TRUE(learn(nothing, world).gradients.empty()); });
}

}  // namespace
}  // namespace cavmae::rank_steps_test
