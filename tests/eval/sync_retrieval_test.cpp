// Clips of several pictures with the sound of each against CAV-MAE Sync's authors: from the filterbank to the
// ranks.
#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/options.h"
#include "cavmae/eval/embed.h"
#include "cavmae/features/image_transform.h"
#include "cavmae/features/segments.h"
#include "cavmae/metrics/frame_scores.h"

#include "tests/eval/tiny_model.h"
#include "tests/support/sync_golden.h"

namespace cavmae {
namespace {

using testing_support::IsNear;
using testing_support::sync_config;
using testing_support::sync_golden_path;
using testing_support::SyncGolden;

constexpr FrameScore kScores[] = {FrameScore::mean, FrameScore::diagonal_mean, FrameScore::diagonal_max,
                                  FrameScore::max};

torch::Tensor unit(const torch::Tensor& x) {
  return x / x.norm(2, -1, true);
}

class SyncRetrieval : public ::testing::TestWithParam<Kernels> {
 protected:
  void SetUp() override {
    golden_ = std::make_unique<SyncGolden>(sync_golden_path("sync_retrieval.safetensors"));
    const TensorFile weights = read_safetensors(sync_golden_path("sync_pretrain.safetensors"));
    CavMaeConfig config = sync_config();
    config.decoder_depth = 0;
    model_ = CavMae(config);
    set_kernels(model_);
    const torch::NoGradGuard no_grad;
    for (auto& item : model_->named_parameters()) item.value().copy_(weights.at("param." + item.key()));
  }

  static void set_kernels(CavMae& model) {
    RuntimeOptions runtime;
    runtime.kernels = GetParam();
    model->set_runtime(runtime);
  }

  Inputs inputs() {
    const torch::Tensor fbank = golden_->take("input.fbank"), frames = golden_->take("input.frames");
    const torch::Tensor segments = golden_->take("segments");
    const SegmentPlan plan{.num_pictures = 4, .clip_frames = 112, .segment_frames = 64};
    std::vector<torch::Tensor> audio, video;
    for (int64_t clip = 0; clip < 3; ++clip)
      for (int64_t k = 0; k < 4; ++k) {
        EXPECT_EQ(aligned_segment(plan, k).start, segments[k][0].item<int64_t>());
        EXPECT_EQ(aligned_segment(plan, k).end, segments[k][1].item<int64_t>());
        audio.push_back((cut_segment(fbank[clip], plan, k) + 5.081) / 4.4849);
        video.push_back(normalize_image(frames[clip][k].contiguous()));
      }
    golden_->expect_near(audio[2 * 4 + 3], "check.audio_2_3");
    golden_->expect_near(video[1 * 4 + 2], "check.video_1_2");
    return {.audio = at::stack(audio).view({3, 4, 64, 128}),
            .video = at::stack(video).view({3, 4, 3, 48, 48})};
  }

  void compare_scores(const std::string& of, const torch::Tensor& audio, const torch::Tensor& video) {
    for (const FrameScore score : kScores) {
      std::string name = enum_name(score);
      std::replace(name.begin(), name.end(), '-', '_');
      const torch::Tensor all = frame_scores(audio, video, score);
      const RetrievalResult result = evaluate_frame_retrieval(audio, video, score);
      for (const bool forward : {true, false}) {
        const std::string prefix = of + name + (forward ? ".audio_to_video." : ".video_to_audio.");
        const torch::Tensor matrix = forward ? all : all.t();
        golden_->expect_near(matrix, prefix + "similarity");
        EXPECT_TRUE(
            (matrix.gt(matrix.diag().unsqueeze(1)).sum(1) + 1).equal(golden_->take(prefix + "ranks")));
        const RetrievalScores& scores = forward ? result.audio_to_video : result.video_to_audio;
        const auto metrics = torch::tensor(
            {scores.at("r1"), scores.at("r5"), scores.at("r10"), scores.at("median_rank")}, torch::kFloat32);
        golden_->expect_near(metrics, prefix + "metrics");
      }
    }
  }

  std::unique_ptr<SyncGolden> golden_;
  CavMae model_{nullptr};
};

TEST_P(SyncRetrieval, EveryTensorOfTheAuthorsAgrees) {
  const torch::NoGradGuard no_grad;
  const Inputs given = inputs();
  const Embeddings global = embed_pictures(model_, given);
  model_ = [&] {
    CavMaeConfig config = model_->config();
    config.contrastive_pooling = ContrastivePooling::mean;
    CavMae pooled(config);
    set_kernels(pooled);
    const auto values = model_->named_parameters();
    for (auto& item : pooled->named_parameters()) item.value().copy_(values[item.key()]);
    return pooled;
  }();
  const Embeddings local = embed_pictures(model_, given);
  for (const auto& [name, vectors] : {std::pair("cls", &global), std::pair("local", &local)})
    for (const auto& [side, tensor] :
         {std::pair("audio", &vectors->audio), std::pair("video", &vectors->video)}) {
      golden_->expect_near(*tensor, std::string("feat.") + name + "_" + side);
      golden_->expect_near(unit(*tensor), std::string("feat.unit_") + name + "_" + side);
    }
  golden_->expect_near(model_->encode({.audio = given.audio[0].narrow(0, 0, 1), .video = {}}).audio[0],
                       "feat.tokens_audio_0");
  golden_->expect_near(model_->encode({.audio = {}, .video = given.video[0].narrow(0, 0, 1)}).video[0],
                       "feat.tokens_video_0");
  compare_scores("clips.", global.audio, global.video);
  compare_scores("case.", golden_->take("case.audio"), golden_->take("case.video"));
}

INSTANTIATE_TEST_SUITE_P(All, SyncRetrieval,
                         ::testing::Values(Kernels::fused, Kernels::library, Kernels::plain));

// ---- whole clips of files

CavMaeConfig segment_config() {
  CavMaeConfig config = cavmae::testing::tiny_config();
  config.audio_window_frames = 32;
  config.global_tokens = true;
  config.registers = 2;
  return config;
}

InputSpec segment_spec() {
  InputSpec spec = cavmae::testing::tiny_features();
  spec.audio_window_frames = 32;
  spec.alignment = Alignment::picture;
  return spec;
}

TEST(AlignedClips, AreEmbeddedAPictureWithItsSound) {
  CavMae model = cavmae::testing::tiny_model(segment_config());
  const auto clips = cavmae::testing::tiny_clips();
  const ClipReader whole(cavmae::testing::tiny_features()), reader(segment_spec());
  const ViewOptions all{.frames = FrameChoice::all};
  const Sample sample = reader.read(clips[0], all, Need::both, 0);
  ASSERT_EQ(sample.audio.sizes(), torch::IntArrayRef({3, 32, 32}));
  const torch::Tensor fbank = whole.read(clips[0], all, Need::both, 0).audio;  // padded and normalised
  for (int64_t k = 0; k < 3; ++k) {
    const Segment segment = aligned_segment({.num_pictures = 3, .clip_frames = 64, .segment_frames = 32}, k);
    EXPECT_TRUE(sample.audio[k].equal(fbank.narrow(0, segment.start, 32))) << k;
  }
  const Embeddings each =
      embed_pictures(model, {.audio = sample.audio.unsqueeze(0), .video = sample.video.unsqueeze(0)});
  ASSERT_EQ(each.audio.sizes(), torch::IntArrayRef({1, 3, 24}));
  for (int64_t k = 0; k < 3; ++k) {
    const Embeddings one =
        embed_batch(model, {.audio = sample.audio[k].unsqueeze(0), .video = sample.video[k].unsqueeze(0)});
    EXPECT_THAT(each.audio[0][k], IsNear(one.audio[0], 1e-5)) << k;
    EXPECT_THAT(each.video[0][k], IsNear(one.video[0], 1e-5)) << k;
  }
}

TEST(AlignedClips, OnePictureIsDrawnWithItsSegment) {
  const auto clips = cavmae::testing::tiny_clips();
  const ClipReader reader(segment_spec());
  const Sample all = reader.read(clips[1], {.frames = FrameChoice::all}, Need::both, 0);
  std::set<int64_t> drawn;
  for (uint64_t seed = 0; seed < 12; ++seed) {
    const Sample one = reader.read(clips[1], {.frames = FrameChoice::random}, Need::both, seed);
    int64_t found = -1;
    for (int64_t k = 0; k < 3; ++k)
      if (one.video.equal(all.video[k]) && one.audio.equal(all.audio[k])) found = k;
    EXPECT_GE(found, 0) << seed;
    drawn.insert(found);
  }
  EXPECT_EQ(drawn.size(), 3U);
}

TEST(AlignedClips, AreEmbeddedWhole) {
  CavMae model = cavmae::testing::tiny_model(segment_config());
  PassOptions options;
  options.view.frames = FrameChoice::all;
  options.show_progress = false;
  const ClipEmbeddings each = embed_clips(model, segment_spec(), cavmae::testing::tiny_clips(), options,
                                          null_log(), ClipVectorsOf::picture);
  const ClipEmbeddings mean =
      embed_clips(model, segment_spec(), cavmae::testing::tiny_clips(), options, null_log());
  EXPECT_EQ(each.audio.sizes(), torch::IntArrayRef({6, 3, 24}));
  EXPECT_THAT(each.audio.mean(1), IsNear(mean.audio, 1e-5));
  EXPECT_THAT(each.video.mean(1), IsNear(mean.video, 1e-5));
}

}  // namespace
}  // namespace cavmae
