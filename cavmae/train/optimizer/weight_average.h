// The mean of a network's parameters at the end of several epochs: what the paper's fine-tuned models are.
// One owner.
#pragma once

#include <cstdint>

#include "cavmae/models/cav_mae.h"
#include "cavmae/tensorfile/safetensors.h"

namespace cavmae {

class WeightAverage {
 public:
  // Adds the network's parameters as they are now.
  void add(CavMae& model);

  int64_t count() const { return count_; }  // times that add() was called

  // The sums divided by count(), by the parameters' names.
  NamedTensors mean() const;

  // The sums and `count` (int64 []), for a checkpoint; those in use, not copies.
  NamedTensors state() const;
  // Takes copies. Throws CheckpointError when `count` is missing.
  void load_state(const TensorFile& file);

 private:
  NamedTensors sums_;  // float, in the order of the network
  int64_t count_ = 0;
};

// Puts `values` into the parameters of their names for its lifetime, then puts back what was there.
class TemporaryParameters {
 public:
  TemporaryParameters(CavMae& model, const NamedTensors& values);
  ~TemporaryParameters();
  TemporaryParameters(const TemporaryParameters&) = delete;
  TemporaryParameters& operator=(const TemporaryParameters&) = delete;

 private:
  std::vector<std::pair<torch::Tensor, torch::Tensor>> kept_;  // parameter and its own value
};

}  // namespace cavmae
