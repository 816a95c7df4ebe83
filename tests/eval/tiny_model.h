// A network small enough for tests, and clips made of the golden media files. Test code only.
#pragma once

#include <string>
#include <vector>

#include "cavmae/data/clip_reader.h"
#include "cavmae/data/clip_source.h"
#include "cavmae/models/cav_mae.h"

namespace cavmae::testing {

inline CavMaeConfig tiny_config() {
  return {.num_fbank_frames = 64,
          .num_mel_bins = 32,
          .image_size = 32,
          .patch_size = 16,
          .embed_dim = 24,
          .num_heads = 3,
          .modality_depth = 1,
          .joint_depth = 1,
          .decoder_depth = 1,
          .decoder_embed_dim = 16,
          .decoder_num_heads = 2};
}

inline CavMae tiny_model(const CavMaeConfig& config = tiny_config(), uint64_t seed = 3) {
  CavMae model(config);
  initialize(model, seed);
  return model;
}

inline InputSpec tiny_features() {
  return {
      .num_fbank_frames = 64, .num_mel_bins = 32, .image_size = 32, .num_frames = 3, .window_seconds = 0.66};
}

inline std::string media_file(const std::string& name) {
  return CAVMAE_TEST_DATA "/golden/media/" + name;
}

// Six clips of separate files: a sound and three pictures each, no two alike.
inline std::vector<ClipSource> tiny_clips() {
  const std::vector<std::string> sounds = {"chirp_10.3s_16k.wav", "stereo_2s_16k.wav"};
  const std::vector<std::string> pictures = {"photo_640x360.jpg", "square_224.png", "odd_301x227.png",
                                             "tall_96x250.png", "up_50x37.png"};
  std::vector<ClipSource> clips;
  for (int i = 0; i < 6; ++i) {
    ClipSource clip;
    clip.id = "clip" + std::to_string(i);
    clip.audio = media_file(sounds[i % 2]);
    for (int k = 0; k < 3; ++k) clip.frames.push_back(media_file(pictures[(i + k) % 5]));
    clip.labels = {"kind " + std::to_string(i % 3)};
    clip.start_seconds = 0.2 * i;
    clips.push_back(clip);
  }
  return clips;
}

}  // namespace cavmae::testing
