// Embeddings of more clips than fit into memory: a folder of numbered files as write_embeddings() makes them,
// and an index.json that says what they are of. Free functions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cavmae/core/json.h"
#include "cavmae/eval/embed.h"

namespace cavmae {

struct EmbedPartsOptions {
  int64_t part_clips = 16384;  // clips whose vectors are in memory at once, and in one file
  PassOptions pass = {};
  ClipVectorsOf of = ClipVectorsOf::clip;
};

// A file of the folder. Its clips lie together in the list, beginning with `first`.
struct EmbeddingPart {
  std::string file;
  int64_t first = 0, clips = 0;
  int64_t rows = 0;    // clips that have a vector
  int64_t failed = 0;  // that could not be read, or not whole
};

struct PartsIndex {
  Json made_of;  // clips, model, input and options that the vectors depend on
  std::vector<EmbeddingPart> parts;

  int64_t rows() const;
  int64_t failed() const;
  int64_t clips() const;  // of the parts that are there
};

// Embeds the clips part after part, as embed_clips() does, and writes each as it is done. Parts that the
// folder holds already, of the same clips, model and options, are not made again: a job that was killed goes
// on where it was. Every rank of options.pass.world calls it and gets the whole index; rank 0 writes.
// `model_file`: what the network comes from. Throws ConfigError when the folder holds embeddings of something
// else, DataError when more than loader.max_bad_ratio of the clips so far could not be read.
PartsIndex embed_in_parts(const std::filesystem::path& folder, CavMae& model,
                          const std::filesystem::path& model_file, const InputSpec& spec,
                          const ClipList& clips, const EmbedPartsOptions& options, std::shared_ptr<Log> log);

// Whether the folder holds such an index.
bool holds_embedding_parts(const std::filesystem::path& folder);

// Throws CheckpointError when it is damaged, or names a file that is not there.
PartsIndex read_parts_index(const std::filesystem::path& folder);

}  // namespace cavmae
