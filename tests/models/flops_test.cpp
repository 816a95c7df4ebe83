// The arithmetic that is counted: the full-size network's known totals, and small ones by hand.
#include "cavmae/models/flops.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cavmae {
namespace {

double gflop(const std::vector<PartFlops>& parts) {
  return total_flops(parts) / 1e9;
}

double forward(const std::vector<PartFlops>& parts, const std::string& name) {
  double sum = 0;
  for (const PartFlops& part : parts)
    if (part.part == name) sum += part.forward;
  return sum;
}

TEST(Flops, FullSizePretrainingNeeds229GigaflopsAClip) {
  EXPECT_NEAR(gflop(pretraining_flops({}, {})), 229.35, 0.005);
}

TEST(Flops, FullSizeFeaturesNeed132GigaflopsAClip) {
  EXPECT_NEAR(gflop(embedding_flops({})), 131.8, 0.05);
}

TEST(Flops, FullSizeFineTuningNeeds397GigaflopsAClip) {
  EXPECT_NEAR(gflop(fine_tuning_flops({}, 527)), 396.8, 0.05);
}

// The sound is computed once for all pictures, so that ten cost a third of ten passes.
TEST(Flops, SoundIsCountedOnceForAllPictures) {
  const auto one = embedding_flops({}), ten = embedding_flops({}, 10);
  EXPECT_EQ(forward(ten, "audio encoder/mlp"), forward(one, "audio encoder/mlp"));
  EXPECT_EQ(forward(ten, "video encoder/mlp"), 10 * forward(one, "video encoder/mlp"));
  EXPECT_NEAR(10 * gflop(one) / gflop(ten), 2.95, 0.01);
  const CavMaeConfig joined{.joint_streams = JointStreams::concat};
  EXPECT_DOUBLE_EQ(gflop(embedding_flops(joined, 10)), 10 * gflop(embedding_flops(joined)));
}

// One layer of width 8 with 2 x 2 patches of audio, counted by hand.
TEST(Flops, OneLayerEqualsCountByHand) {
  const CavMaeConfig config{.modalities = Modalities::audio,
                            .joint_streams = JointStreams::none,
                            .num_fbank_frames = 8,
                            .num_mel_bins = 8,
                            .patch_size = 4,
                            .embed_dim = 8,
                            .num_heads = 2,
                            .modality_depth = 1,
                            .joint_depth = 0,
                            .decoder_depth = 0};
  const auto parts = embedding_flops(config);
  EXPECT_EQ(forward(parts, "embedding"), 2 * 4 * 16 * 8);
  EXPECT_EQ(forward(parts, "audio encoder/attention"), 2 * 4 * 8 * (24 + 8));
  EXPECT_EQ(forward(parts, "audio encoder/attention/matmul"), 2 * 2 * 4 * 4 * 8);
  EXPECT_EQ(forward(parts, "audio encoder/mlp"), 2 * 2 * 4 * 8 * 32);
  EXPECT_EQ(forward(parts, "joint layers/attention"), 0);
}

TEST(Flops, BackwardTakesTwiceForwardButForPatches) {
  for (const PartFlops& part : pretraining_flops({}, {}))
    EXPECT_DOUBLE_EQ(part.backward, (part.part == "embedding" ? 1 : 2) * part.forward) << part.part;
  for (const PartFlops& part : embedding_flops({})) EXPECT_EQ(part.backward, 0) << part.part;
}

TEST(Flops, NetworkWithoutDecoderHasNoDecoderParts) {
  const CavMaeConfig config{.joint_streams = JointStreams::separate, .decoder_depth = 0};
  for (const PartFlops& part : pretraining_flops(config, {}))
    EXPECT_THAT(part.part, testing::Not(testing::AnyOf(testing::StartsWith("decoder"), "heads")));
}

// Masking half instead of three quarters doubles the encoders' rows and not the decoder's.
TEST(Flops, VisiblePatchesSetTheEncodersWork) {
  const auto quarter = pretraining_flops({}, {.mask_ratio_audio = 0.75, .mask_ratio_video = 0.75});
  const auto half = pretraining_flops({}, {.mask_ratio_audio = 0.5, .mask_ratio_video = 0.5});
  EXPECT_EQ(forward(half, "audio encoder/mlp"), 2 * forward(quarter, "audio encoder/mlp"));
  EXPECT_EQ(forward(half, "audio encoder/attention/matmul"),
            4 * forward(quarter, "audio encoder/attention/matmul"));
  EXPECT_LT(forward(half, "decoder/mlp"), forward(quarter, "decoder/mlp"));
}

// ---- what CAV-MAE's successors add, counted by hand: width 8, four patches a modality

CavMaeConfig small_successor() {
  CavMaeConfig config{.num_fbank_frames = 8,
                      .num_mel_bins = 8,
                      .image_size = 8,
                      .patch_size = 4,
                      .embed_dim = 8,
                      .num_heads = 2,
                      .modality_depth = 1,
                      .joint_depth = 1,
                      .decoder_depth = 0};
  config.global_tokens = true;
  config.registers = 2;
  return config;
}

double linear_layers(double tokens) {  // of attention
  return 2 * tokens * 8 * (24 + 8);
}
double products(double queries, double tokens) {
  return 2 * 2 * queries * tokens * 8;
}
double mlp(double tokens) {
  return 2 * 2 * tokens * 8 * 32;
}

TEST(Flops, LearnedTokensGoThroughTheLayersThatTheyBelongTo) {
  const auto parts = embedding_flops(small_successor());
  for (const char* encoder : {"audio encoder", "video encoder"}) {  // a global token and two registers
    EXPECT_EQ(forward(parts, std::string(encoder) + "/attention"), linear_layers(7)) << encoder;
    EXPECT_EQ(forward(parts, std::string(encoder) + "/attention/matmul"), products(7, 7)) << encoder;
    EXPECT_EQ(forward(parts, std::string(encoder) + "/mlp"), mlp(7)) << encoder;
  }
  EXPECT_EQ(forward(parts, "joint layers/attention/matmul"), 2 * products(5, 5)) << "without registers";
  EXPECT_EQ(forward(parts, "joint layers/mlp"), 2 * mlp(5));
}

TEST(Flops, SoundIsCountedOnceASegmentThatDiffers) {
  CavMaeConfig config;
  config.audio_window_frames = 416;
  config.global_tokens = true;
  config.registers = 8;
  const auto one = embedding_flops(config), sixteen = embedding_flops(config, 16);
  EXPECT_EQ(forward(sixteen, "audio encoder/mlp"), 11 * forward(one, "audio encoder/mlp"));
  EXPECT_EQ(forward(sixteen, "video encoder/mlp"), 16 * forward(one, "video encoder/mlp"));
  EXPECT_EQ(forward(one, "audio encoder/mlp"), 11 * 2.0 * 2 * (208 + 9) * 768 * 3072);
}

// Half of the patches for the reconstruction, three quarters for the contrastive loss.
TEST(Flops, OfADualPathAreThoseOfBothPasses) {
  const auto parts =
      pretraining_flops(small_successor(), {.mask_ratio_audio = 0.5, .mask_ratio_video = 0.5}, 0.25);
  EXPECT_EQ(forward(parts, "embedding"), 2 * 4 * 16 * 8 + 2 * 4 * 48 * 8) << "all patches, once";
  EXPECT_EQ(forward(parts, "audio encoder/mlp"), mlp(2 + 3) + mlp(3 + 3));
  EXPECT_EQ(forward(parts, "video encoder/attention/matmul"), products(5, 5) + products(6, 6));
  EXPECT_EQ(forward(parts, "joint layers/attention/matmul"), products(4, 4) + 2 * products(4, 4))
      << "the patches of both that are kept, and each modality's beside its token";
  EXPECT_EQ(forward(parts, "joint layers/mlp"), mlp(4) + 2 * mlp(4));
}

TEST(Flops, OfATeacherAreThoseOfAnUnmaskedPassWithoutGradients) {
  const CavMaeConfig config = small_successor();
  const MaskOptions half{.mask_ratio_audio = 0.5, .mask_ratio_video = 0.5};
  const auto without = pretraining_flops(config, half, 0.25);
  const auto added = [&](const TeacherUse& use, const std::string& name) {
    return forward(pretraining_flops(config, half, 0.25, use), name) - forward(without, name);
  };
  for (const TeacherUse use : {TeacherUse{.ranks = true}, TeacherUse{.distills = true},
                               TeacherUse{.ranks = true, .distills = true}}) {
    EXPECT_EQ(added(use, "embedding"), 2 * 4 * 16 * 8 + 2 * 4 * 48 * 8);
    EXPECT_EQ(added(use, "audio encoder/attention/matmul"), products(7, 7));
    EXPECT_EQ(added(use, "video encoder/mlp"), mlp(7));
    EXPECT_EQ(added(use, "joint layers/mlp"), use.distills ? 2 * mlp(1) : 0) << "of the tokens alone";
  }
  const double scores = products(5, 5) / 2;  // queries and keys
  EXPECT_EQ(added({.ranks = true}, "joint layers/attention/matmul"), 2 * scores);
  EXPECT_EQ(added({.ranks = true}, "joint layers/attention"), 2 * 2.0 * 5 * 8 * 16);
  EXPECT_EQ(added({.distills = true}, "joint layers/attention/matmul"), 2 * products(1, 5));
  EXPECT_EQ(added({.distills = true}, "joint layers/attention"), 2 * (2.0 * 5 * 8 * 16 + 2.0 * 8 * 16));
  EXPECT_EQ(added({.ranks = true, .distills = true}, "joint layers/attention/matmul"),
            2 * (scores + products(1, 5) / 2));
  double backward = 0;
  const auto taught = pretraining_flops(config, half, 0.25, {.ranks = true, .distills = true});
  for (const PartFlops& part : taught) backward += part.backward;
  for (const PartFlops& part : without) backward -= part.backward;
  EXPECT_EQ(backward, 0);
}

}  // namespace
}  // namespace cavmae
