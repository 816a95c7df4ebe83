// Embeddings of a data set: what speaks for the single streams of every clip. Free functions; the model is
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

// What there is of a clip with several pictures: the mean of its vectors, or each of them.
enum class ClipVectorsOf { clip, picture };

struct ClipEmbeddings {
  // float [N, D], not normalised; undefined when not asked for. Of each picture: [N, K, D]
  torch::Tensor audio;
  torch::Tensor video;
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
// computed once, or with alignment picture once a segment. `of` picture: [N, K, D], a clip's vector of the
// audio repeated where the sound is the whole clip's. Title and device are set here. Every rank of
// options.world gets the whole result. Throws ConfigError when the network cannot give what is needed,
// DataError past loader.max_bad_ratio.
ClipEmbeddings embed_clips(CavMae& model, const InputSpec& spec, const ClipList& clips,
                           const PassOptions& options, std::shared_ptr<Log> log,
                           ClipVectorsOf of = ClipVectorsOf::clip);

// The embeddings of one batch, float [B, D] each on the CPU; a video of [B, K, 3, S, S] is averaged over its
// K pictures, and an audio of [B, K, T, F] over its segments; those that neighbours share are computed once.
// An input that is undefined stays undefined.
Embeddings embed_batch(CavMae& model, const Inputs& inputs);
// The vectors of each picture and of the sound that belongs to it, float [B, K, D]. Of a batch with one
// picture a clip K is 1.
Embeddings embed_pictures(CavMae& model, const Inputs& inputs);

}  // namespace cavmae
