// The .safetensors format: named tensors and text metadata in one file, readable without running anything.
// Free functions; safe from several threads on different files.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "cavmae/core/torch.h"

namespace cavmae {

// Names in file order (a state dict's order counts when it is compared or shown).
using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;

struct TensorFile {
  NamedTensors tensors;
  std::map<std::string, std::string> metadata;

  // The tensor of that name, or nullptr.
  const torch::Tensor* find(const std::string& name) const;
  // The tensor of that name; CheckpointError names the nearest one otherwise.
  const torch::Tensor& at(const std::string& name) const;
};

// A tensor as a file describes it, without its numbers.
struct TensorInfo {
  std::string name;
  torch::ScalarType type = torch::kFloat32;
  std::vector<int64_t> shape;
};

struct TensorFileInfo {
  std::vector<TensorInfo> tensors;  // in file order
  std::map<std::string, std::string> metadata;

  // The tensor of that name, or nullptr.
  const TensorInfo* find(const std::string& name) const;
};

// Reads every tensor (any dtype of the format that LibTorch has: F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL).
// Throws CheckpointError naming the file: truncated, overlapping or out-of-range offsets, unknown dtype, a
// header over 100 MB, or sizes that do not fit the shape.
TensorFile read_safetensors(const std::filesystem::path& path);

// What the header says; the bytes behind it are not read, only counted. Throws as read_safetensors() does.
TensorFileInfo inspect_safetensors(const std::filesystem::path& path);

// The text metadata alone, likewise.
std::map<std::string, std::string> read_safetensors_metadata(const std::filesystem::path& path);

// One tensor without reading it: its memory is the file's, brought in as it is touched, for as long as a
// tensor of it lives. What is written to it stays in this process. The file may be renamed or removed
// meanwhile, but not cut short. Throws as read_safetensors() does, and as TensorFile::at() for a name that is
// not there.
torch::Tensor map_safetensors(const std::filesystem::path& path, const std::string& name);

// Whether the values of mapped tensors can be read as well (place_in_file()), for which one file stays open
// while a tensor of it lives.
enum class FileOnceMapped { is_closed, stays_open };
// Every tensor, likewise.
TensorFile map_safetensors(const std::filesystem::path& path,
                           FileOnceMapped then = FileOnceMapped::is_closed);

// Writes beside and renames. Tensors may be on any device and of any strides. Throws Error on a full disk,
// with the old file intact.
void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace cavmae
