#include "cavmae/train/gradient_exchange.h"

#include <gmock/gmock.h>

#include "cavmae/train/pretraining_task.h"

#include "tests/train/toy_run.h"

namespace cavmae::gradient_exchange_test {
namespace {

// One of two ranks whose other one gives nothing: it keeps what a bucket was when its reduction began.
class WatchingWorld final : public World {
 public:
  int64_t rank() const override { return 0; }
  int64_t size() const override { return 2; }

  std::vector<torch::Tensor> buckets, at_begin;
  std::vector<bool> in_backward;  // of each reduction, whether the backward pass still went on
  bool backward_goes_on = false;

 protected:
  void do_all_reduce(const torch::Tensor& tensor) override {
    buckets.push_back(tensor);
    at_begin.push_back(tensor.clone());
    in_backward.push_back(backward_goes_on);
  }
  std::vector<torch::Tensor> do_all_gather(const torch::Tensor& tensor) override { return {tensor, tensor}; }
  void do_broadcast(const torch::Tensor& /*tensor*/, int64_t /*root*/) override {}
  void do_wait_for_all() override {}
};

Inputs toy_inputs(uint64_t seed) {
  const auto generator = at::detail::createCPUGenerator(seed);
  const CavMaeConfig config = toy_config();
  return {
      .audio = torch::randn({4, config.num_fbank_frames, config.num_mel_bins}, generator, torch::kFloat32),
      .video = torch::randn({4, 3, config.image_size, config.image_size}, generator, torch::kFloat32)};
}

// A step of the toy network, whose joint layer computes three streams and is differentiated as often.
class Step {
 public:
  Step(const RuntimeOptions& runtime, const ObjectiveOptions& objective)
      : model_(toy_config()), task_(prepared(model_, runtime), objective, MaskOptions{}, World::alone()) {}

  void take(int micro_batches, const ExchangeOptions& options) {
    GradientExchange exchange(model_->parameters(), options, world);
    exchange.prepare();
    const torch::Generator generator = at::detail::createCPUGenerator(2);
    for (int i = 0; i < micro_batches; ++i) {
      const auto loss = task_.training_forward(toy_inputs(static_cast<uint64_t>(i)), generator).loss;
      if (i + 1 == micro_batches) exchange.overlap(loss);
      world.backward_goes_on = true;
      loss.backward();
      world.backward_goes_on = false;
      if (i + 1 < micro_batches) {
        EXPECT_TRUE(world.buckets.empty()) << "only the last batch exchanges";
      }
    }
    exchange.begin_rest();
    const std::vector<double> written = exchange.written();
    exchange.sum(written);
  }

  WatchingWorld world;

 private:
  static CavMae prepared(CavMae model, const RuntimeOptions& runtime) {
    initialize(model, 3);
    model->set_runtime(runtime);
    return model;
  }

  CavMae model_;
  PretrainingTask task_;
};

TEST(GradientExchange, ABucketIsCompleteWhenItsReductionBegins) {
  for (const Kernels kernels : {Kernels::fused, Kernels::plain})
    for (const bool recompute : {false, true})
      for (const double reconstruction_weight : {1.0, 0.0})  // 0: the decoder's parameters get no gradient
        for (const int64_t bucket_bytes : {1, 8000, 1 << 20}) {
          if (recompute && kernels == Kernels::plain) continue;
          RuntimeOptions runtime;
          runtime.kernels = kernels;
          runtime.recompute = recompute;
          ObjectiveOptions objective;
          objective.reconstruction_weight = reconstruction_weight;
          Step step(runtime, objective);
          step.take(2, {.overlap = true, .bucket_bytes = bucket_bytes});
          const WatchingWorld& world = step.world;
          for (size_t i = 0; i < world.buckets.size(); ++i)
            EXPECT_TRUE(world.buckets[i].equal(world.at_begin[i])) << "bucket " << i << " was written later";
          if (bucket_bytes == 1 << 20) continue;
          EXPECT_GT(std::ranges::count(world.in_backward, true) + 1,
                    static_cast<int64_t>(world.buckets.size()) / 2)
              << "most reductions begin while the backward pass goes on";
        }
}

TEST(GradientExchange, WithoutOverlapNothingBeginsBeforeTheBackwardPassIsDone) {
  Step step({}, {}), overlapped({}, {});
  step.take(2, {.overlap = false, .bucket_bytes = 8000});
  overlapped.take(2, {.overlap = true, .bucket_bytes = 8000});
  EXPECT_EQ(std::ranges::count(step.world.in_backward, true), 0);
  ASSERT_EQ(step.world.buckets.size(), overlapped.world.buckets.size());
  for (size_t i = 0; i < step.world.buckets.size(); ++i)
    EXPECT_TRUE(step.world.buckets[i].equal(overlapped.world.buckets[i])) << i;
}

}  // namespace
}  // namespace cavmae::gradient_exchange_test
