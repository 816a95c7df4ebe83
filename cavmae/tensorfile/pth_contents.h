// What the two formats of a .pth have in common: the pickle, and storages that are read by their key. Private
// to tensorfile.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cavmae/core/file_stream.h"
#include "cavmae/core/torch.h"
#include "cavmae/tensorfile/pickle.h"

namespace cavmae {

// A flat array that tensors are views of, as a pickle's persistent id names it:
// ('storage', torch.FloatStorage, key, location, num_elements[, view])
struct PthStorage {
  std::string key;
  torch::ScalarType type = torch::kFloat32;
  int64_t num_elements = 0;
  int64_t view_begin = 0, view_elements = 0;  // the part that is meant; the whole where there is no view

  uint64_t num_bytes() const { return static_cast<uint64_t>(num_elements) * c10::elementSize(type); }
};

// Throws CheckpointError when the persistent id is not such a tuple.
PthStorage parse_storage(const PickleValue& persistent, const std::string& where);

class PthContents {
 public:
  virtual ~PthContents() = default;
  virtual const Pickle& pickle() const = 0;
  // Fills `out` with the storage's bytes; CheckpointError when the file has no such storage of that size.
  virtual void read(const PthStorage& storage, void* out) const = 0;
};

// `file` must outlive the contents.
std::unique_ptr<PthContents> open_zip_pth(const FileReader& file);
std::unique_ptr<PthContents> open_legacy_pth(const FileReader& file);

}  // namespace cavmae
