// The whole of cavmae for programs that use it:
//
//   cavmae::Model model("run");                           // a run, a .safetensors file or the authors' .pth
//   auto clip = model.embed("clip.mp4");                  // clip.audio and clip.video, float [D]
//   auto upload = model.embed(cavmae::media_in_memory(bytes, "upload.mp4"));
//   auto archive = cavmae::map_embeddings("archive.safetensors", "video");  // what 'cavmae embed' wrote
//   auto found = cavmae::nearest(clip.audio, archive, 5);  // found.indices, found.scores
//
// What fails throws cavmae::Error or a class derived from it. Below these few: load_pretrained() for the
// network itself, embed_clips() and classify_clips() for whole data sets.
#pragma once

#include "cavmae/core/error.h"
#include "cavmae/core/torch.h"
#include "cavmae/data/read_clips.h"
#include "cavmae/eval/classify.h"
#include "cavmae/eval/embed.h"
#include "cavmae/eval/embed_file.h"
#include "cavmae/eval/model.h"
#include "cavmae/eval/nearest.h"
#include "cavmae/media/media_source.h"
#include "cavmae/models/pretrained.h"
