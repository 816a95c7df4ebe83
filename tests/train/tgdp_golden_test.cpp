// The dual path, the teacher and the gathered loss of TG-DP against its authors' code.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/nn/ranked_masking.h"
#include "cavmae/nn/transformer_block.h"
#include "cavmae/train/pretraining_task.h"

#include "tests/models/plain_twin.h"
#include "tests/support/sync_golden.h"
#include "tests/support/thread_world.h"

namespace cavmae {
namespace {

using testing_support::golden;
using testing_support::IsNear;
using testing_support::sync_config;
using testing_support::sync_golden_path;
using testing_support::SyncGolden;
using testing_support::ThreadWorld;

// Of two ranks at once: the loss, accuracy and gradients of each.
struct Gathered {
  std::vector<torch::Tensor> loss{2}, accuracy{2}, grad_audio{2}, grad_video{2};
};

Gathered gathered_loss(const torch::Tensor& audio, const torch::Tensor& video) {
  Gathered out;
  testing_support::run_ranks(2, [&](World& world) {
    const auto rank = static_cast<size_t>(world.rank());
    const auto a = audio[world.rank()].clone().requires_grad_(),
               v = video[world.rank()].clone().requires_grad_();
    const ContrastiveResult result = contrastive_loss(a, v, {.bidirectional = true}, world);
    result.loss.backward();
    out.loss[rank] = result.loss.detach();
    out.accuracy[rank] = result.accuracy;
    // Ours is a rank's gradient times the ranks, whose mean over the ranks is taken.
    out.grad_audio[rank] = a.grad() / 2;
    out.grad_video[rank] = v.grad() / 2;
  });
  return out;
}

// Theirs is the mean over the ranks of their own losses: each finds its clips among all. Ours is the mean
// over all clips, which is the same on every rank.
TEST(Tgdp, TheGatheredLossIsTheAuthors) {
  const TensorFile file = golden("sync/tgdp");
  const Gathered ours = gathered_loss(file.at("gathered.audio"), file.at("gathered.video"));
  for (size_t rank = 0; rank < 2; ++rank) {
    EXPECT_THAT(ours.loss[rank], IsNear(file.at("gathered.loss").mean(), 2e-5));
    EXPECT_THAT(ours.accuracy[rank], IsNear(file.at("gathered.accuracy").mean(), 2e-5));
  }
  EXPECT_THAT(at::stack(ours.grad_audio), IsNear(file.at("gathered.grad_audio"), 2e-5));
  EXPECT_THAT(at::stack(ours.grad_video), IsNear(file.at("gathered.grad_video"), 2e-5));
}

class TgdpGolden : public ::testing::TestWithParam<Kernels> {
 protected:
  void SetUp() override {
    const TensorFile weights = read_safetensors(sync_golden_path("sync_pretrain.safetensors"));
    model_ = CavMae(sync_config());
    RuntimeOptions runtime;
    runtime.kernels = GetParam();
    model_->set_runtime(runtime);
    const torch::NoGradGuard no_grad;
    for (auto& item : model_->named_parameters()) item.value().copy_(weights.at("param." + item.key()));
    inputs_ = {.audio = weights.at("input.audio"), .video = weights.at("input.video")};
  }

  void compare_step(SyncGolden& file) {
    ObjectiveOptions objective;
    objective.contrastive_weight = 0.1;
    objective.contrastive_mask_ratio = 0.5;
    PretrainingTask task(model_, objective, {}, World::alone());
    const StepResult result = task.training_forward(inputs_, at::detail::createCPUGenerator(77));
    for (const LossTerm& term : result.terms) file.expect_near(term.value, "dual.loss_" + term.name);
    file.expect_near(result.loss, "dual.loss");
    file.expect_near(result.values.front().second, "dual.accuracy");
    result.loss.backward();
    for (const auto& item : model_->named_parameters())
      if (const std::string name = "dual.grad." + item.key(); file.has(name))
        file.expect_near(item.value().grad(), name);
    // The second pass's masks, which the step keeps to itself, are the next that the generator gives.
    auto generator = at::detail::createCPUGenerator(77);
    model_->draw_masks(4, {}, generator);
    const Masks second = model_->draw_masks(4, {.mask_ratio_audio = 0.5, .mask_ratio_video = 0.5}, generator);
    EXPECT_TRUE(second.audio.mask.equal(file.take("dual.mask_audio")));
    EXPECT_TRUE(second.video.mask.equal(file.take("dual.mask_video")));
    const Latents latents =
        model_->encode(model_->embed_patches(inputs_), second, {.joint = false, .single = true});
    EXPECT_FALSE(latents.joint.defined());
    file.expect_near(latents.audio_token, "dual.cls_audio");
    file.expect_near(latents.video_token, "dual.cls_video");
  }

  void compare_teacher(SyncGolden& file) {
    const Inputs two{.audio = inputs_.audio.narrow(0, 0, 2), .video = inputs_.video.narrow(0, 0, 2)};
    const GlobalAttention seen = model_->attend_to_global(two);
    file.expect_near(seen.audio_token, "teacher.cls_audio");
    file.expect_near(seen.video_token, "teacher.cls_video");
    const auto ranks = [](const torch::Tensor& scores) {
      return rank_patches(scores, Ranking::top, 1.0, at::detail::createCPUGenerator(0));
    };
    EXPECT_TRUE(ranks(seen.audio_scores).equal(file.take("teacher.ranks_audio")));
    EXPECT_TRUE(ranks(seen.video_scores).equal(file.take("teacher.ranks_video")));
    const auto stages = testing_support::plain_stages(model_, two, {});
    auto* layers = model_->named_children()["blocks_u"]->as<BlockStackImpl>();
    Compute how;
    how.runtime.kernels = GetParam();
    file.expect_near(layers->attention_weights(stages.at("joint_in_audio"), NormSet::audio, how),
                     "teacher.attention_audio");
    file.expect_near(layers->attention_weights(stages.at("joint_in_video"), NormSet::video, how),
                     "teacher.attention_video");
  }

  CavMae model_{nullptr};
  Inputs inputs_;
};

TEST_P(TgdpGolden, EveryTensorOfTheAuthorsAgrees) {
  SyncGolden file(sync_golden_path("tgdp.safetensors"));
  compare_step(file);
  compare_teacher(file);
  const Gathered ours = gathered_loss(file.take("gathered.audio"), file.take("gathered.video"));
  EXPECT_THAT(ours.loss[0], IsNear(file.take("gathered.loss").mean(), 2e-5));
  EXPECT_THAT(ours.accuracy[0], IsNear(file.take("gathered.accuracy").mean(), 2e-5));
  file.expect_near(at::stack(ours.grad_audio), "gathered.grad_audio");
  file.expect_near(at::stack(ours.grad_video), "gathered.grad_video");
}

INSTANTIATE_TEST_SUITE_P(All, TgdpGolden,
                         ::testing::Values(Kernels::fused, Kernels::library, Kernels::plain));

}  // namespace
}  // namespace cavmae
