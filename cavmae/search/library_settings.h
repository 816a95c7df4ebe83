// library.json: what a library was made with, and which generation of it counts. Plain values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cavmae/core/json.h"
#include "cavmae/features/input_spec.h"
#include "cavmae/models/pretrained.h"

namespace cavmae {

// How the vectors of a library are stored.
//   float32, float16: as such; in PostgreSQL float16 alone, as halfvec
//   text:             float16 in columns of text, in a PostgreSQL without pgvector
enum class VectorType { float32, float16, text };
inline std::vector<std::pair<VectorType, std::string>> option_names(VectorType) {
  return {{VectorType::float32, "float32"}, {VectorType::float16, "float16"}, {VectorType::text, "text"}};
}
torch::ScalarType scalar_type(VectorType type);

// Which index a library's sealed segments have beside their vectors.
//   automatic: flat up to 1 M moments, ivf up to 10 M, ivfpq above
//   flat:      none; every vector is compared
//   ivf:       inverted lists; what is compared are the vectors themselves, as VectorType stores them
//   ivfpq:     inverted lists of product codes; the candidates are compared by their vectors
enum class IndexKind { automatic, flat, ivf, ivfpq };
inline std::vector<std::pair<IndexKind, std::string>> option_names(IndexKind) {
  return {{IndexKind::automatic, "auto"},
          {IndexKind::flat, "flat"},
          {IndexKind::ivf, "ivf"},
          {IndexKind::ivfpq, "ivfpq"}};
}

struct LibraryModel {
  std::string path;             // of the checkpoint, absolute
  std::string parameters_hash;  // see models/parameters_hash.h
  int64_t embed_dim = 0;        // D
  std::string precision;        // that vectors are computed in
  InputSpec spec;               // how files are read
  // Of the encoders, which a .pth does not state; libraries of before this field do not have it.
  std::optional<int64_t> num_heads = std::nullopt;
};

struct LibrarySettings {
  LibraryModel model;
  double hop_seconds = 5.0;  // between the starts of moments
  VectorType vectors = VectorType::float32;
  IndexKind index = IndexKind::automatic;
  std::vector<std::string> data = {};  // what it is filled from: absolute paths
  int64_t generation = 1;
};

// Another precision, shape or reading of inputs than these would give other vectors than the library's.
LoadOptions load_options(const LibraryModel& model);

// Throws ConfigError for a network whose streams are no use to a search: one of both inputs at once.
LibraryModel library_model(const Pretrained& model);

// Whether `folder` holds a library.
bool holds_library(const std::filesystem::path& folder);
// Throws ConfigError when `folder` holds none, and DataError when its library.json is damaged or of a later
// version.
LibrarySettings read_library_settings(const std::filesystem::path& folder);
// Written beside and renamed.
void write_library_settings(const std::filesystem::path& folder, const LibrarySettings& settings);
Json to_json(const LibrarySettings& settings);
// `where`: named in errors. Throws DataError.
LibrarySettings settings_from_json(const Json& json, const std::string& where);

// Throws ConfigError that names both models when the library's vectors are not those that `model` would give.
void check_same_model(const std::string& library, const LibrarySettings& settings, const LibraryModel& model);

// LIBRARY/generation-000001
std::filesystem::path generation_folder(const std::filesystem::path& library, int64_t generation);

}  // namespace cavmae
