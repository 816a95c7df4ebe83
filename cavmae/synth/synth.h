// The clip generator: video files of moving shapes whose looks and sounds correspond, with every hidden
// parameter in a manifest. Free functions; safe from several threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/core/torch.h"
#include "cavmae/synth/scene.h"

namespace cavmae {

struct SynthOptions {
  int64_t num_clips = 1000;
  int64_t seed = 0;
  double clip_seconds = 4.0;
  int64_t image_size_px = 96;
  int64_t frame_rate_hz = 12;
  int64_t num_workers = 0;
  SceneKind scenes = SceneKind::steady;
  // Folders of steady scenes do not have it.
  static constexpr const char* kAbsentByDefault[] = {"scenes"};
  bool show_progress = true;  // how a run is watched; neither a flag nor kept

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("clips", o.num_clips, "how many clips to make");
    v("seed", o.seed, "another seed gives other clips");
    v("seconds", o.clip_seconds, "length of a clip, up to 10");
    v("image_size", o.image_size_px, "side of the square picture in pixels, even");
    v("frame_rate", o.frame_rate_hz, "pictures a second");
    v("num_workers", o.num_workers, "clips made at once; 0: as many as there are cores");
    v("scenes", o.scenes,
      "what happens in a clip: the same objects all along, or events: objects come and go");
  }
  // Throws ConfigError that lists everything that is wrong.
  void validate() const;
};

constexpr int64_t kSynthSampleRateHz = 16000;

// uint8 [S, S, 3] each, clip_seconds * frame_rate_hz of them; picture i is what is seen at i / frame_rate_hz.
std::vector<torch::Tensor> render_frames(const SynthScene& scene, const SynthOptions& options);

// float [clip_seconds * kSynthSampleRateHz] in [-1, 1].
torch::Tensor render_audio(const SynthScene& scene, const SynthOptions& options);

struct SynthResult {
  int64_t num_made = 0;
  int64_t num_kept = 0;  // finished by an earlier, interrupted run
  std::filesystem::path manifest;
};

// Makes out_dir/clips/000000.mp4 ... and, when all are there, out_dir/manifest.jsonl. A clip depends on
// (seed, index) and the options alone, never on the number of workers. A run that was interrupted goes on
// where it was when it is started again with the same options; more clips may be asked for, anything else
// that differs from what out_dir holds is a ConfigError. Throws MediaError where a clip cannot be written.
SynthResult make_clips(const std::filesystem::path& out_dir, const SynthOptions& options, Log& log);

}  // namespace cavmae
