// Embeddings of a data set: mean-pooled single-stream outputs of every clip.
#pragma once

#include <string>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/data/loader.h"
#include "cavmae/models/cav_mae.h"

namespace cavmae {

struct Embeddings {
  torch::Tensor audio;           // float [N, D], mean-pooled, not normalised; undefined when not asked for
  torch::Tensor video;           // float [N, D]
  std::vector<int64_t> indices;  // positions in the list of clips, [N], ascending
  std::vector<BadClip> failed;
};

struct EmbedOptions {
  Need need = Need::both;
  FrameChoice frames =
      FrameChoice::middle;  // all: the mean over the pictures' outputs; the audio is computed once
  std::optional<double> window_start;
  LoaderOptions loader;
  std::filesystem::path cache_dir;
  bool show_progress = true;
};

Embeddings embed_clips(CavMae& model, const FeatureOptions& features, std::vector<ClipSource> clips,
                       const EmbedOptions& options, std::shared_ptr<Log> log);

}  // namespace cavmae
