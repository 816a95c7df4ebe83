// PyTorch's own checkpoints (.pth, .pt): the zip format of PyTorch 1.6 and later, and the older one. They are
// pickles, which can ask a reader to run anything; here nothing is ever run. Free functions; safe from
// several threads on different files.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cavmae/tensorfile/safetensors.h"

namespace cavmae {

// A tensor as a checkpoint describes it, and where in the checkpoint it is.
struct PthTensor {
  std::string holder;  // the dict or list that holds it: the keys and positions on the way, joined by dots
  std::string key;     // its own key there
  torch::ScalarType type = torch::kFloat32;
  std::vector<int64_t> shape;

  std::string name() const { return holder.empty() ? key : holder + "." + key; }
};

// A checkpoint whose pickle was read, and of whose tensors nothing yet. Its values besides tensors (epoch
// numbers, options, ...) are passed over. Safe from several threads.
class PthFile {
 public:
  // Throws CheckpointError naming the file: damaged, truncated, no tensors at all, or a class or function
  // that is neither PyTorch's for state dicts nor of a plain value (Note [Names in a .pth]), with the key
  // that it is under.
  explicit PthFile(const std::filesystem::path& path);
  ~PthFile();

  // In the file's order; no two have the same name.
  const std::vector<PthTensor>& tensors() const;
  // Those at these places of tensors(), on the CPU. Tensors that share memory in the file share it here.
  // Throws CheckpointError: a checksum that is wrong, records that are missing.
  std::vector<torch::Tensor> read(const std::vector<size_t>& places) const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

// Every tensor of a checkpoint under its whole name ("module." and the like included). Throws as PthFile
// does.
NamedTensors read_pth(const std::filesystem::path& path);

// The same tensors by name, type and shape, from the pickle alone: their bytes are not read, so a checksum of
// theirs that is wrong goes unnoticed.
std::vector<TensorInfo> inspect_pth(const std::filesystem::path& path);

// Writes the zip format: an OrderedDict of tensors, names as given, for torch.load(). Beside the target and
// renamed; throws Error on a full disk, with the old file intact.
void write_pth(const std::filesystem::path& path, const NamedTensors& tensors);

// The tensors with `prefix` ("module.") taken from the names that begin with it.
NamedTensors strip_prefix(NamedTensors tensors, const std::string& prefix);

}  // namespace cavmae
