// A program that uses an installed cavmae: embeds a batch of silence and grey with a fresh small network.
#include <cstdio>

#include "cavmae/models/cav_mae.h"

int main() {
  cavmae::CavMae model(cavmae::CavMaeConfig{.num_fbank_frames = 64,
                                            .num_mel_bins = 32,
                                            .image_size = 32,
                                            .embed_dim = 32,
                                            .num_heads = 4,
                                            .modality_depth = 1,
                                            .decoder_depth = 0});
  cavmae::initialize(model, /*seed=*/1);
  const auto embeddings =
      model->embed({.audio = torch::zeros({2, 64, 32}), .video = torch::zeros({2, 3, 32, 32})});
  std::printf("%ld clips of width %ld\n", embeddings.audio.size(0), embeddings.audio.size(1));
}
