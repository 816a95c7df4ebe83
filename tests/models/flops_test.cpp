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

}  // namespace
}  // namespace cavmae
