// Layers whose values a file is about to give: writing zeros into them first takes as long as reading it.
#pragma once

#include "cavmae/core/torch.h"

namespace cavmae {

// What becomes of a new weight's memory: values are copied into it, or the weight gets other memory.
enum class UnsetMemory { to_be_written, to_be_replaced };

// While one lives, the weights of layers that this thread makes hold whatever the memory held.
class UnsetParameters {
 public:
  explicit UnsetParameters(UnsetMemory memory);
  ~UnsetParameters();
  UnsetParameters(const UnsetParameters&) = delete;
  UnsetParameters& operator=(const UnsetParameters&) = delete;

 private:
  const UnsetParameters* const outer_;
  const UnsetMemory memory_;

  friend torch::Tensor new_weight(torch::IntArrayRef sizes);
};

// Whether there are UnsetParameters on this thread, so that initial values need not be computed.
bool parameters_stay_unset();

// Of a new weight: zeros, or no values while there are UnsetParameters, of which the innermost decides.
torch::Tensor new_weight(torch::IntArrayRef sizes);

}  // namespace cavmae
