// Embeddings on disk: a .safetensors file with `audio` and `video`, float32 [N, D] or with a vector a picture
// [N, K, D], and as metadata the clips' ids, where they are windows the files and starts, what failed, and
// the precision. Free functions; safe from several threads on different files.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cavmae/eval/embed.h"

namespace cavmae {

// Of a window: the id of the clip that it is cut from, and where it starts in it.
struct FilePlace {
  std::string file;
  double start_seconds = 0.0;
};
// Those of every clip, or none where they are no windows (data/windows.h).
std::vector<FilePlace> places_of(const ClipList& clips);

// `ids`: of every clip that was asked for, so that ids[embeddings.indices[row]] names a row; `places`
// likewise, or empty. `model`: the checkpoint they were made with. Written beside and renamed.
void write_embeddings(const std::filesystem::path& path, const ClipEmbeddings& embeddings,
                      const std::vector<std::string>& ids, const std::filesystem::path& model,
                      const std::vector<FilePlace>& places = {});

struct StoredEmbeddings {
  torch::Tensor audio,
      video;  // float [N, D] or [N, K, D]; undefined when the file lacks it; NaN rows: the clip lacked it
  std::vector<std::string> ids;          // [N]
  std::vector<FilePlace> places;         // [N], or empty
  std::vector<BadClip> failed, lacking;  // as ClipEmbeddings has them
  std::filesystem::path model;
  Precision precision = Precision::fp32;  // files of before it was stated are fp32
};

// Whether `path` is a .safetensors file with the ids that write_embeddings() leaves in it.
bool holds_embeddings(const std::filesystem::path& path);

// Throws CheckpointError when the file is damaged or holds something else.
StoredEmbeddings read_embeddings(const std::filesystem::path& path);

// One of its matrices, or that of any .safetensors file, without reading it: float or half [N, D], its memory
// the file's for as long as the tensor lives (map_safetensors()). `name`: "audio", "video", ... For
// nearest().
torch::Tensor map_embeddings(const std::filesystem::path& path, const std::string& name);

}  // namespace cavmae
