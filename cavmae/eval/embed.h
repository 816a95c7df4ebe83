// Embeddings of a data set: mean-pooled single-stream outputs of every clip. Free functions; the model is
// read, not changed.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/data/loader.h"
#include "cavmae/eval/clip_passes.h"
#include "cavmae/models/cav_mae.h"

namespace cavmae {

struct ClipEmbeddings {
  torch::Tensor audio;           // float [N, D], mean-pooled, not normalised; undefined when not asked for
  torch::Tensor video;           // float [N, D]
  std::vector<int64_t> indices;  // positions in the list of clips, [N], ascending
  // Clips that could not be read, or not whole: of those the side says which row is NaN, though the other one
  // is there.
  std::vector<BadClip> failed;
  // The clips whose row of a side is NaN because they have no such side.
  std::vector<BadClip> lacking = {};
  Precision precision = Precision::fp32;  // that they were computed in
};

// options.need any: a clip that lacks one modality, or whose modality cannot be read, has NaN in that row and
// is named in `lacking` or `failed`; a clip with neither has failed. So has a side of which the network gives
// values that are not finite. options.view.frames all: the mean over the pictures' outputs; the audio is
// computed once. Title and device are set here. Every rank of options.world gets the whole result. Throws
// ConfigError when the network cannot give what is needed, DataError past loader.max_bad_ratio.
ClipEmbeddings embed_clips(CavMae& model, const InputSpec& spec, const ClipList& clips,
                           const PassOptions& options, std::shared_ptr<Log> log);

// The embeddings of one batch, float [B, D] each on the CPU; a video of [B, K, 3, S, S] is averaged over its
// K pictures. An input that is undefined stays undefined.
Embeddings embed_batch(CavMae& model, const Inputs& inputs);

}  // namespace cavmae
